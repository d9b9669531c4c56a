from langchain_gptoss.engine.scheduling.queue import WaitingQueue


def _create_queue(*items: tuple[str, int, float], max_wait_s: float = 30) -> WaitingQueue[str]:
    queue: WaitingQueue[str] = WaitingQueue(max_wait_s=max_wait_s)
    for name, priority, arrival_s in items:
        queue.add(name, priority=priority, arrival_s=arrival_s)
    return queue


def test_higher_priority_first_then_order_of_arrival() -> None:
    queue = _create_queue(("a", 0, 0), ("b", 5, 0), ("c", 0, 0), ("d", 5, 0))
    assert queue.list_items(now_s=1) == ["b", "d", "a", "c"]


def test_long_wait_overcomes_priority() -> None:
    queue = _create_queue(("low", -5, 0), ("high", 5, 8), max_wait_s=10)
    assert queue.list_items(now_s=9) == ["high", "low"]
    assert queue.list_items(now_s=11) == ["low", "high"]


def test_preempted_items_go_first() -> None:
    queue = _create_queue(("a", 9, 0))
    queue.return_to_head("b")
    queue.return_to_head("c")
    assert len(queue) == 3
    assert queue.list_items(now_s=0) == ["c", "b", "a"]
    assert set(queue) == {"a", "b", "c"}


def test_items_are_removed_by_identity() -> None:
    queue = _create_queue(("a", 0, 0), ("b", 0, 0))
    queue.return_to_head("c")
    for item in ("c", "a", "unknown"):
        queue.remove(item)
    assert queue.list_items(now_s=0) == ["b"]
