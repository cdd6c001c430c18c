"""Encrypted jobs for workers in processes of their own; the keys come from the environment."""

from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore()


@jobs.job(kind="apart", encrypt=True, isolation="process")
def apart(secret: str, ctx: JobContext = CONTEXT) -> tuple[str, str]:
    return ctx.step("one", lambda: f"step {secret}"), secret


@jobs.job(kind="thread", encrypt=True)
def thread(secret: str, ctx: JobContext = CONTEXT) -> str:
    ctx.log.info("it runs")
    return secret


@jobs.job(kind="loop", encrypt=True)
async def loop(secret: str) -> str:
    return secret
