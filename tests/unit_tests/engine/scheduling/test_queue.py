from langchain_gptoss.engine.scheduling.queue import WaitingQueue


def _take_all(queue: WaitingQueue[str], now_s: float) -> list[str]:
    items = []
    while (item := queue.peek(now_s=now_s)) is not None:
        assert queue.remove(item)
        items.append(item)
    return items


def test_higher_priority_first_then_order_of_arrival() -> None:
    queue: WaitingQueue[str] = WaitingQueue(max_items=9)
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        assert queue.add(name, priority=priority, now_s=0)
    assert _take_all(queue, now_s=1) == ["b", "d", "a", "c"]


def test_long_wait_overcomes_priority() -> None:
    queue: WaitingQueue[str] = WaitingQueue(max_items=9, max_wait_s=10)
    queue.add("low", priority=-5, now_s=0)
    queue.add("high", priority=5, now_s=8)
    assert queue.peek(now_s=9) == "high"
    assert queue.peek(now_s=11) == "low"


def test_full_queue_refuses_but_takes_back() -> None:
    queue: WaitingQueue[str] = WaitingQueue(max_items=1)
    assert queue.add("a", priority=0, now_s=0)
    assert not queue.add("b", priority=9, now_s=0)
    queue.return_to_head("c")
    assert len(queue) == 2
    assert _take_all(queue, now_s=0) == ["c", "a"]


def test_unknown_item_is_not_removed() -> None:
    assert not WaitingQueue[str](max_items=1).remove("a")
