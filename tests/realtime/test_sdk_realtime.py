from __future__ import annotations
import pytest
from tests.realtime.sdks import *
def test_x(stack, account):
    for p in PACKAGES:
        print(p, json.dumps(run_in_node(p, "realtime", dict(url=stack.url, applicationId=str(account.application.application_id).upper(), key=account.key, channelName="news")), indent=1))
