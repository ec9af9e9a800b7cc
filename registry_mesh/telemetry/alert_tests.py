"""The tests of the alerts, as promtool runs them: each fires on its sample and says its sentence, and none fires on a
good day."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.alert_table import ALERTS, JOB, ONE, WHO, Alert, full
from registry_mesh.telemetry.alerts import GROUPS, labels, said_by

Case = dict[str, object]


def tests(docs: str = "") -> str:
    """The file for what minutes decide."""
    return _file([_NAMED, _NOT_ALL, _OF_CALLERS], "1m")


def tests_of_samples(docs: str = "") -> str:
    """The file for one sample of each alert, and for a good day: looked at every ten minutes, which is enough for what
    lasts more than an hour."""
    cases = [_case(alert, docs) for alert in ALERTS if alert.sample]
    return _file([*cases, _GOOD, _recorded()], "10m")


def tests_of_weeks(docs: str = "") -> str:
    """The file for alerts that compare a day with a week: looked at by the hour, a test of them takes no minutes."""
    return _file([_spent(), _dear(docs)], "1h")


def _file(cases: Sequence[Case], every: str) -> str:
    """`every`: how often the rules are looked at. What is recorded is five minutes old at most to an alert, so that the
    groups must come in their order."""
    whole = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": every,
        "group_eval_order": GROUPS,
        "tests": cases,
    }
    return json.dumps(whole, indent=1)


def _series(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": series, "values": value} for series, value in values.items()]


def _fires(alert: Alert, at: str, said: str, more: Mapping[str, str], docs: str = "") -> Case:
    expected = {
        "exp_labels": {**labels(alert), **more},
        "exp_annotations": {**said_by(alert, docs), "summary": said},
    }
    return {"eval_time": at, "alertname": alert.name, "exp_alerts": [expected]}


def _silent(alerts: Sequence[Alert], at: str) -> list[Case]:
    return [{"eval_time": at, "alertname": alert.name, "exp_alerts": []} for alert in alerts]


def _case(alert: Alert, docs: str) -> Case:
    said = alert.said or alert.says.replace(WHO, "s:5001")
    of = {} if alert.expression.startswith("count by") else {"instance": "s:5001"}
    fires = _fires(alert, "80m", said, {**of, **alert.labels}, docs)
    return {"interval": "1m", "input_series": _series(alert.sample), "alert_rule_test": [fires]}


def _called(name: str) -> Alert:
    return next(alert for alert in ALERTS if alert.name == f"RegistryMesh{name}")


_GOOD: Final[Case] = {
    "name": "a good day",
    "interval": "1m",
    "input_series": _series(
        {
            f"up{{{ONE},{JOB}}}": "1x90",
            full(names.REQUESTS, f'{{{ONE},endpoint="blob",method="GET",code="2xx"}}'): "0+300x90",
            full(names.FAILURES, f'{{{ONE},side="caller",reason="unknown"}}'): "0+60x90",
            full(names.PARENT_STATE, f'{{{ONE},registry="r",parent="p:1",state="in_use"}}'): "1x90",
        }
    ),
    "alert_rule_test": _silent(ALERTS, "80m"),
}

_NODE: Final = 'instance="zrh:5001", name="ch-zurich-1"'

_NAMED: Final[Case] = {
    "name": "a dead node is told of by its name, after two minutes",
    "interval": "1m",
    "input_series": _series({f"up{{{JOB}, {_NODE}}}": "1x3 0x10"}),
    "alert_rule_test": [
        *_silent([_called("Down")], "4m"),
        _fires(
            _called("Down"),
            "8m",
            "ch-zurich-1 does not answer for 2 min; its clients ask their next mirror.",
            {"job": "registry-mesh", "instance": "zrh:5001", "name": "ch-zurich-1"},
        ),
    ],
}

_NOT_ALL: Final[Case] = {
    "name": "offline means no parent at all, not one",
    "interval": "1m",
    "input_series": _series(
        {
            full(names.PARENT_STATE, f'{{{ONE}, registry="r", parent="p", state="in_use"}}'): "1x5 0x10",
            full(names.PARENT_STATE, f'{{{ONE}, registry="r", parent="p", state="silent"}}'): "0x5 1x10",
            full(names.PARENT_STATE, f'{{{ONE}, registry="r", parent="q", state="standing_by"}}'): "1x8 0x7",
        }
    ),
    "alert_rule_test": [
        *_silent([_called("Offline")], "9m"),
        _fires(
            _called("Offline"),
            "13m",
            "No parent of r answers s:5001: what is held goes on, all else is refused.",
            {"instance": "s:5001", "registry": "r"},
        ),
    ],
}

_OF_CALLERS: Final[Case] = {
    "name": "refusals by policy are no failures, a dead parent is",
    "interval": "1m",
    "input_series": _series(
        {
            full(names.REQUESTS, f'{{{_NODE}, code="2xx"}}'): "0+1000x30",
            full(names.FAILURES, f'{{{_NODE}, side="caller", reason="denied"}}'): "0+500x30",
            full(names.FAILURES, f'{{{_NODE}, side="parent", reason="throttled"}}'): "0x10 0+42x20",
        }
    ),
    "alert_rule_test": [
        *_silent([_called("PullsFail")], "9m"),
        _fires(
            _called("PullsFail"),
            "28m",
            "4.2% of what is asked at ch-zurich-1 fails, not by the callers' fault; "
            "registry_mesh_failures_total says why.",
            {"instance": "zrh:5001", "name": "ch-zurich-1"},
        ),
    ],
}

_LINK: Final = 'instance="zrh:5001", name="ch-zurich-1", registry="r", parent="p"'
_PRICE: Final = full(names.PARENT_PRICE, '{instance="zrh:5001", parent="p", currency="CHF"}')


def _spent() -> Case:
    spent = 'registry_mesh:spent_money:increase1d{instance="zrh:5001", name="ch-zurich-1", currency="CHF"}'
    return {
        "name": "money by hop",
        "interval": "1h",
        "input_series": _series({full(names.UPSTREAM_BYTES, f"{{{_LINK}}}"): "0+1e9x48", _PRICE: "8e-11x48"}),
        "promql_expr_test": [
            {
                "expr": "registry_mesh:spent_money:increase1d",
                "eval_time": "30h",
                "exp_samples": [{"labels": spent, "value": 1.92}],
            }
        ],
    }


def _dear(docs: str) -> Case:
    """A week of 24 a day, then a day of 240."""
    return {
        "name": "a link that costs over twice its usual",
        "interval": "1h",
        "input_series": _series(
            {full(names.UPSTREAM_BYTES, f"{{{_LINK}}}"): "0+1e9x168 178e9+10e9x30", _PRICE: "1e-9x200"}
        ),
        "alert_rule_test": [
            *_silent([_called("LinkDear")], "160h"),
            _fires(
                _called("LinkDear"),
                "194h",
                "ch-zurich-1 spent 240 CHF on its link in a day, over twice its usual.",
                {"instance": "zrh:5001", "name": "ch-zurich-1", "currency": "CHF"},
                docs,
            ),
        ],
    }


def _recorded() -> Case:
    """Of one registry three of four are hits, of another none."""
    given = {"r.example": {"hit": 3, "miss": 1}, "other": {"miss": 2}}
    series = {
        full(
            metric, f'{{{ONE},registry="{registry}",kind="blob",result="{result}"}}'
        ): f"0+{60 * each * size}x90"
        for metric, size in ((names.CACHE, 1), (names.CACHE_BYTES, 1000))
        for registry, results in given.items()
        for result, each in results.items()
    }
    expected = {"hit_bytes:ratio_rate5m": 0.75, "hit_requests:ratio_rate5m": 0.75, "saved_bytes:rate1h": 3000}
    return {
        "interval": "1m",
        "input_series": _series(series),
        "promql_expr_test": [
            {
                "expr": f'registry_mesh:{record}{{registry="r.example"}}',
                "eval_time": "80m",
                "exp_samples": [
                    {"labels": f'registry_mesh:{record}{{{ONE},registry="r.example"}}', "value": value}
                ],
            }
            for record, value in expected.items()
        ],
    }
