import time, os, asyncio
from datetime import datetime, timedelta, UTC
import numpy as np, pytest
from services.scorer import ArchivedPiece
from services.store.open import Store
from services.store.tables import *
from services.store.upsert import absorbing
from sqlalchemy import insert, text
from promote.case import Case, Provenance
from dedup.assign import Candidate, Decided
from dedup.events import Assignment
from services.promoter import Promotion
NOW=datetime(2026,1,1,tzinfo=UTC)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind",["sqlite","pg"])
async def test_b(kind,request,tmp_path):
    if kind=="sqlite":
        s=Store(f"sqlite:///{tmp_path}/s.db"); await s.upgrade()
    else: s=Store(request.getfixturevalue("postgres_url"))
    print("\n==",kind)
    async def T(name,co,n=1):
        t=time.perf_counter(); c=time.process_time(); r=await co; print(f"{name:30} {(time.perf_counter()-t)/n*1e3:.3f} ms  cpu {(time.process_time()-c)/n*1e3:.3f}"); return r
    body=open("/work/shared/data/traces/airline.jsonl","rb").read()[:2500]
    for k in range(8):
        ps=[ArchivedPiece("p",os.urandom(16).hex(),os.urandom(16).hex(),"trace/1",body) for i in range(200)]
        await T("add 200 (per piece)",s.archive.add(ps,now_ms=1,due_ms=1),200)
    for k in range(150):
        ps=[ArchivedPiece("p",os.urandom(16).hex(),os.urandom(16).hex(),"trace/1",body) for i in range(400)]
        await s.archive.add(ps,now_ms=1,due_ms=k//3)
    for k in range(3):
        c=await T("claim 200",s.archive.claim_due(now_ms=5,limit=200)); await T("settle 200",c.settle([False]*200))
    ps=[ArchivedPiece("p",os.urandom(16).hex(),os.urandom(16).hex(),"trace/1",body) for i in range(1)]
    await T("add 1",s.archive.add(ps,now_ms=1,due_ms=1))
    await T("expire 500", s.archive.expire(before_ms=100,limit=500))
    N=100_000
    def fill(conn):
        for st in range(0,N,5000):
            r=range(st,st+5000)
            conn.execute(insert(pattern),[dict(project=f"p{i%3}",pattern_id=f"{i:016x}",space="s",text="some text "*20,event_id=f"e{i}",trace_id="t",occurrences=i%977,first_failed_at=NOW,last_failed_at=NOW+timedelta(seconds=i)) for i in r])
            conn.execute(insert(occurrence),[dict(project=f"p{i%3}",event_id=f"e{i}",trace_id=f"t{i}",pattern_id=f"{i:016x}",decided_by="first",distance=0.0,nearest_distance=None,fingerprint=f"f{i}",space="s",failed_at=NOW) for i in r])
            conn.execute(insert(eval_case),[dict(project=f"p{i%3}",case_id=f"{i:016x}",pattern_id=f"{i:016x}",from_event_id=f"e{i}",set="backlog" if i%50 else "blocking",severity="high",weight=(i*7919%1000)/1000,label="l",occurrences=1,last_failed_at=NOW,created_at=NOW+timedelta(seconds=i),body=Case(case_id=f"{i:016x}",project=f"p{i%3}",pattern_id=f"{i:016x}",set="backlog",label="l",severity="high",weight=.5,components={},input="x"*1500,provenance=Provenance(trace_id="t",event_id="e",pattern_id="p",failed_at=NOW),created_at=NOW)) for i in r])
    await T("fill",s._database.write(fill))
    if kind=="pg": await s._database.write(lambda c: c.execute(text("analyze")))
    def vec(conn):
        for st in range(0,50000,5000):
            conn.execute(insert(pattern_vector),[dict(project="p0",space="s",seq=i+1,pattern_id=f"{i*3:016x}" if i*3<N else f"{0:016x}",vector=b"\0"*1536) for i in range(st,st+5000)])
    await s._database.write(vec)
    for rep in range(2):
        await T("totals",s.reader.totals()); await T("totals p0",s.reader.totals("p0"))
        for p in (None,"p0"):
            for cs in (None,"blocking","backlog"):
                r=await T(f"cases {p} {cs} 50",s.reader.cases(project=p,case_set=cs,limit=50)); assert len(r)==50
            await T(f"patterns {p} 50",s.reader.patterns(project=p,limit=50))
            await T(f"members {p} 50",s.reader.members(project=p,pattern_id=None,limit=50))
        await T("case prefix",s.reader.case("00000000000010"))
        await T("pattern prefix",s.reader.pattern("0000000000000abc"))
        await T("members of pattern",s.reader.members(project="p0",pattern_id=f"{3:016x}",limit=None))
        await T("projects",s.reader.projects())
    await T("members all",s.reader.members(project=None,pattern_id=None,limit=None))
    async def after():
        async with s.patterns.locked("p0") as w: return await w.patterns_after("s",0)
    print(len(await T("patterns_after 50k",after())))
    async def empty():
        async with s.patterns.locked("p0") as w: return await w.patterns_after("s",50000)
    for _ in range(3): await T("locked, nothing new",empty())
    async def dec(n):
        async with s.patterns.reading("p0") as w: await w.decisions([f"e{i}" for i in range(n)]); await w.fingerprints([f"e{i}" for i in range(n)])
        async with s.patterns.locked("p0") as w:
            await w.decisions([f"n{i}" for i in range(n)])
            await w.keep([Decided(Candidate("p0",f"n{time.time_ns()}{i}","t",NOW,"text","f"),Assignment(pattern_id=f"{3*i:016x}",decided_by="embedding",distance=.1,fingerprint=f"x{i}",embedding_space="s")) for i in range(n)])
    for _ in range(3): await T("decide 64",dec(64))
    for k in range(3): await T("promote 200",s.cases.promote("p0",[Promotion(f"{k}x{i}","t",f"{3*i:016x}",NOW,None) for i in range(200)]))
    for _ in range(3): await T("attempt begin+end",asyncio.wait_for(_be(s),5))
    await s.close()
async def _be(s):
    await s.attempts.begin("c",["x"]); await s.attempts.end("c",["x"])
