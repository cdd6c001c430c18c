import sys,os,pathlib
sys.path[:0]=["/tmp/hC/src","/tmp/hC"]
import bench.servers as bs
from bench.workloads import raw_postgres,raw_redis
with bs.Servers(pathlib.Path("/var/tmp")) as sv:
    s=sys.argv[1]; sv.start(s); os.environ["BENCH_URL"]=sv.fresh(s)
    print("raw",s,{"postgres":raw_postgres,"redis":raw_redis}[s].awaited(pathlib.Path("/tmp"),jobs=int(sys.argv[2])))
