"""Reading what servers count of themselves."""

from hack.bench.counters import Written, count_writes, histogram_quantile, samples

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",dry_run="",resource="trials",subresource="status",verb="PATCH"} 3
apiserver_request_total{code="409",dry_run="",resource="trials",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="201",dry_run="",resource="jobs",subresource="",verb="POST"} 4
apiserver_request_total{code="200",dry_run="",resource="jobs",subresource="",verb="LIST"} 9
etcd_mvcc_put_total 17
etcd_mvcc_put_total_of_something_else 5
"""
LAGS = """\
lag_bucket{le="0.01"} 90
lag_bucket{le="0.02"} 98
lag_bucket{le="0.04"} 100
lag_bucket{le="+Inf"} 100
"""


def test_writes_are_counted_by_verb_and_resource_and_refusals_apart() -> None:
    done, refused = count_writes(METRICS)
    assert done == {"PATCH trials/status": 3, "POST jobs": 4}
    assert refused == {"PATCH trials/status": 2}


def test_only_what_came_since_is_told() -> None:
    before = Written({"POST jobs": 4}, {}, 10)
    after = Written({"POST jobs": 6, "POST trials": 1}, {"POST jobs": 1}, 25)
    assert after.since(before) == Written({"POST jobs": 2, "POST trials": 1}, {"POST jobs": 1}, 15)


def test_a_counter_is_the_sum_of_its_own_series() -> None:
    assert samples(METRICS, "etcd_mvcc_put_total") == 17
    assert samples(METRICS, "apiserver_request_total") == 18


def test_a_quantile_lies_within_its_bucket() -> None:
    assert histogram_quantile(LAGS, "lag", 0.99) == 0.03
    assert histogram_quantile(LAGS, "lag", 0.45) == 0.005


def test_an_empty_histogram_has_no_quantile() -> None:
    assert histogram_quantile("", "lag", 0.99) == 0
