# Sidekiq's driver: what `__main__.py` does, in Ruby.
#
#     ruby driver.rb prepare | fill JOBS | one JOBS | bulk JOBS | pace JOBS RATE
require "json"
require_relative "note"

THOUSAND = 1000

def say(words)
  puts JSON.generate(words)
  $stdout.flush
end

def monotonic
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def pace(jobs, rate)
  Note.perform_async(jobs)
  $stdin.gets
  start = monotonic + 0.1
  called = (0...jobs).map do |number|
    sleep([0, start + number.fdiv(rate) - monotonic].max)
    at = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    Note.perform_async(number)
    at
  end
  say(called: called)
end

def store(command, jobs)
  Note.perform_async(jobs) unless command == "fill"
  start = monotonic
  if command == "one"
    jobs.times { |number| Note.perform_async(number) }
  else
    (0...jobs).each_slice(THOUSAND) do |numbers|
      Sidekiq::Client.push_bulk("class" => Note, "args" => numbers.zip)
    end
  end
  say(seconds: monotonic - start)
end

command, jobs, rate = ARGV
case command
when "prepare" then nil
when "pace" then pace(Integer(jobs), Integer(rate))
else store(command, Integer(jobs))
end
