import sys, time, traceback
import pytest
from tests.faults import attack_acts as acts
from tests.faults.attack_kit import *
from tests.walk_kit import installed_sqlite, installed_postgres

@pytest.fixture(scope="module")
def places():
    with desks() as made: yield made

@pytest.fixture(scope="module", params=["sqlite","postgresql"])
def prepared(request, places, tmp_path_factory):
    t=time.time()
    if request.param=="sqlite":
        p= prepare(request.getfixturevalue("installed_sqlite"), tmp_path_factory.mktemp("p"), places)
    else:
        p= prepare(request.getfixturevalue("installed_postgres"), tmp_path_factory.mktemp("p"), places, request.getfixturevalue("postgres"))
    print("PREP", time.time()-t, file=sys.stderr)
    return p

NAMES_ = ["nothing","edit_body","edit_leaf","rehash","resign","truncate","regrow","delete","swap","replay","split","split_any","roll_back","forge_receipt","put_back_a_voter","empty_a_payload","empty_under_anothers_name","add_a_token","remove_a_token","forge_a_tile","change_a_cosignature","delete_a_cosignature","forge_a_cosignature","delete_the_list","put_in_a_list","delete_a_halt","lift_a_halt","date_back","claim_a_huge_size","sign_in_the_future","refuse_to_sign","collude"]
@pytest.mark.parametrize("name", NAMES_)
def test_it(prepared, places, tmp_path, name):
    t=time.time()
    w = world_of(prepared, tmp_path, places, old=name in ("roll_back","delete_a_halt","lift_a_halt"))
    t1=time.time()
    try:
        if name!="nothing": getattr(acts,name)(w)
        t2=time.time()
        w.rejoin()
        out=[]
        for n,d in DETECTORS.items():
            s=time.time(); r=d(w); out.append((n,r,time.time()-s))
        print(f"\n== {name} {w.owner.dialect} world {t1-t:.2f} act {t2-t1:.2f}", file=sys.stderr)
        for n,r,s in out: print(f"   {n} {s:.2f}: {({k:v[:230] for k,v in r.items()})}", file=sys.stderr)
    finally:
        w.close()
