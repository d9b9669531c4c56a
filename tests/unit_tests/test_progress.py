"""Progress bars count bytes, and the bars of other libraries are silenced only inside a block."""

import pytest

from langchain_gptoss._progress import show_progress, silence_transformers_bars


def test_show_progress_counts_bytes(capfd):
    with show_progress(4_000_000, "Loading it", done_bytes=1_000_000) as progress_bar:
        progress_bar.update(3_000_000)
    shown = capfd.readouterr().err
    assert "Loading it: 100%" in shown
    assert "4.00M/4.00M" in shown


@pytest.mark.parametrize("was_enabled", [True, False])
def test_bars_of_transformers_are_silenced_inside_the_block(was_enabled):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    try:
        (logging.enable_progress_bar if was_enabled else logging.disable_progress_bar)()
        with silence_transformers_bars():
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() is was_enabled
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()


def test_descriptions_do_not_act_on_the_terminal(capfd):
    with show_progress(1, "Verifying a\x1b]0;x\x07\nb"):
        pass
    assert "Verifying a␛]0;x␇␊b" in capfd.readouterr().err
