# Sidekiq's job: loaded by its worker and by the producer.
require "sidekiq"
require "logger"

begin
  require "hiredis"
  DRIVER = :hiredis
rescue LoadError
  DRIVER = :ruby
end

REDIS = { url: ENV.fetch("BENCH_URL"), driver: DRIVER }.freeze
Sidekiq.configure_client { |config| config.redis = REDIS }
Sidekiq.configure_server { |config| config.redis = REDIS }
Sidekiq.logger.level = Logger::WARN

# Which bodies began and when, as `ledger.py` keeps it. Ruby cannot map a file: a thread of its own
# writes entries together, a few milliseconds after they were made.
class Ledger
  ENTRY = 16

  def initialize
    @entries = Thread::Queue.new
    @file = File.open(File.join(ENV.fetch("BENCH_LEDGER"), "#{Process.pid}.ledger"), "wb")
    @file.truncate(Integer(ENV.fetch("BENCH_ENTRIES")) * ENTRY)
    Thread.new do
      loop do
        sleep 0.002
        flush
      end
    end
  end

  def write(number)
    at = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    @entries << [number + 1, at].pack("q<q<")
  end

  private

  def flush
    data = +""
    data << @entries.pop(true) until @entries.empty?
    @file.syswrite(data) unless data.empty?
  end
end

class Note
  include Sidekiq::Worker

  LEDGER = Sidekiq.server? ? Ledger.new : nil

  def perform(number)
    LEDGER.write(number)
  end
end
