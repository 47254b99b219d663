from __future__ import annotations
import pytest
from tests.realtime.sdks import *
@pytest.mark.parametrize("p",["backendless8","backendless7","backendless6","chromium"])
def test_x(stack, account,p):
        c=dict(url=stack.url, applicationId=str(account.application.application_id).upper(), key=account.key, channelName="news", tomorrow=1795403561000)
        r=judge(p)("realtime",c); print(p,r["transport"],r["isConnectedAfterLeaving"])
        r=judge(p)("messaging",c); print(p,json.dumps(r,indent=1)) if p[-1]=="8" else print(json.dumps(r))
