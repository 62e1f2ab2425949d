"""What progress looks like on a terminal, in a notebook and in a log file."""

import io
import os
import re
import subprocess
import sys
import textwrap
from types import ModuleType, SimpleNamespace

import pytest
from callback_fakes import Model

from uncrumple.callbacks import CallbackList, LambdaCallback, LazyLogs, ModelCheckpoint, Progbar, progress, screen
from uncrumple.callbacks.progress_line import Drawing, Reading, clock, number, pace, plain_line, whole_pace


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def frames(self):
        """Return every text that was shown on each line, without colours."""
        plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", self.getvalue())
        return [[part.rstrip() for part in line.split("\r") if part.strip()] for line in plain.split("\n")][:-1]

    def left(self):
        """Return the lines that a person sees in the end."""
        return [frames[-1] if frames else "" for frames in self.frames()]


@pytest.fixture
def time(monkeypatch):
    made = Clock()
    monkeypatch.setattr("uncrumple.callbacks.progress.perf_counter", made)
    return made


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "PYCHARM_HOSTED", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(screen, "_open", None)


def show_on(stream, monkeypatch):
    # Not sys.stdout itself: pytest puts its own there again before a test begins.
    for module in (screen, progress):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=stream, modules=sys.modules))


@pytest.fixture
def terminal(monkeypatch):
    made = Screen()
    show_on(made, monkeypatch)
    monkeypatch.setenv("COLUMNS", "100")
    return made


def train(
    time,
    epochs=2,
    steps=10,
    seconds=1.0,
    validation=0,
    batch_size=32,
    verbose=1,
    callbacks=(),
    known=True,
    names=("loss",),
):
    together = CallbackList(
        list(callbacks),
        add_progbar=True,
        model=Model(),
        verbose=verbose,
        epochs=epochs,
        steps=steps if known else None,
        batch_size=batch_size,
    )
    together.on_train_begin()
    for epoch in range(epochs):
        together.on_epoch_begin(epoch)
        for batch in range(steps):
            time.now += seconds
            together.on_train_batch_end(batch, dict.fromkeys(names, 0.5))
        logs = dict.fromkeys(names, 0.5)
        if validation:
            together.on_test_begin()
            for batch in range(validation):
                time.now += seconds
                together.on_test_batch_end(batch, {})
            together.on_test_end({})
            logs |= {f"val_{name}": 0.25 for name in names}
        together.on_epoch_end(epoch, logs)
    together.on_train_end()
    return together


# --- in a log file ------------------------------------------------------------------


def test_log_file_two_plain_lines_for_a_short_epoch(time, capsys):
    train(time, seconds=0.5, validation=4)
    assert capsys.readouterr().out == (
        "Epoch 1/2\n"
        "10/10 - 7s - 500ms/step - 64 samples/s - loss: 0.5000 - val_loss: 0.2500\n"
        "Epoch 2/2\n"
        "10/10 - 7s - 500ms/step - 64 samples/s - loss: 0.5000 - val_loss: 0.2500\n"
    )


def test_log_file_at_most_a_line_for_each_quarter_of_a_long_epoch(time, capsys):
    train(time, steps=1000, seconds=30)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (1 + 3 + 1)
    assert lines[1] == " 250/1000 - 2:05:00, 6:15:00 left - 30s/step - 1.1 samples/s - loss: 0.5000"
    assert lines[6].startswith(" 250/1000 - 2:05:00, 6:15:00 left")
    assert [line.split()[0] for line in lines[6:9]] == ["250/1000", "500/1000", "750/1000"]


def test_log_file_time_left_of_all_epochs_from_the_second_on(time, capsys):
    train(time, epochs=3, steps=40, seconds=1)
    lines = capsys.readouterr().out.splitlines()
    assert "all epochs" not in "".join(lines[:5])
    assert lines[6] == "10/40 - 10s, 30s left (all epochs 1:10) - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert "all epochs" not in "".join(lines[10:])


def test_log_file_unknown_number_of_steps_is_learned(time, capsys):
    train(time, steps=90, known=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines[:6]] == [
        "Epoch 1/2",
        "10 steps",
        "20 steps",
        "40 steps",
        "80 steps",
        "90/90",
    ]
    assert lines[7].startswith("23/90 - 23s, 1:07 left")


def test_log_file_no_control_characters(time, capsys):
    train(time, epochs=3, steps=100, validation=5)
    assert not re.search(r"[\r\b\x1b]", capsys.readouterr().out)


def test_log_file_logs_are_not_read_unless_a_line_is_due(time, capsys):
    read = []
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=1000)
    together.on_train_begin()
    together.on_epoch_begin(0)
    for batch in range(1000):
        time.now += 1
        together.on_train_batch_end(batch, LazyLogs(lambda: read.append(True) or {"loss": 0.5}))
    assert len(read) == 3


def test_verbose_0_and_2_and_auto(time, capsys):
    train(time, verbose=0)
    assert capsys.readouterr().out == ""
    train(time, verbose=2, validation=2)
    assert capsys.readouterr().out == (
        "Epoch 1/2\n10/10 - 12s - 1s/step - loss: 0.5000 - val_loss: 0.2500\n"
        "Epoch 2/2\n10/10 - 12s - 1s/step - loss: 0.5000 - val_loss: 0.2500\n"
    )
    train(time, verbose="auto", epochs=1)
    assert capsys.readouterr().out == "10/10 - 10s - 1.0s/step - 32 samples/s - loss: 0.5000\n"


def test_verbose_2_with_an_unknown_number_of_steps(time, capsys):
    train(time, verbose=2, known=False, steps=3)
    assert capsys.readouterr().out == (
        "Epoch 1/2\n3/3 - 3s - 1s/step - loss: 0.5000\nEpoch 2/2\n3/3 - 3s - 1s/step - loss: 0.5000\n"
    )


# --- on a terminal ------------------------------------------------------------------


def test_terminal_one_line_for_an_epoch_redrawn_in_place(time, terminal):
    train(time, epochs=1)
    (frames,) = terminal.frames()
    assert frames[0] == " 1/10 ━━━━━━━━━━━━━━━━━━━━ 1s, 9s left - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert frames[4] == " 5/10 ━━━━━━━━━━━━━━━━━━━━ 5s, 5s left - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert frames[-1] == "10/10 ━━━━━━━━━━━━━━━━━━━━ 10s - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert terminal.getvalue().startswith("\r\x1b[1m 1/10\x1b[0m \x1b[32m━━\x1b[0m\x1b[90m━━━━━━━━━━━━━━━━━━\x1b[0m ")
    assert terminal.getvalue().endswith("\x1b[K\n")


def test_terminal_epochs_validation_and_time_left_of_all(time, terminal):
    train(time, epochs=3, validation=2)
    lines = terminal.frames()
    assert terminal.left()[0] == "Epoch 1/3"
    assert lines[1][-3:-1] == [
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 11s - 1.0s/step - 32 samples/s - loss: 0.5000 - validating, step 1",
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 12s - 1.0s/step - 32 samples/s - loss: 0.5000 - validating, step 2",
    ]
    assert terminal.left()[1] == (
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 12s - 1.0s/step - 32 samples/s - loss: 0.5000 - val_loss: 0.2500"
    )
    assert lines[3][2] == (
        " 3/10 ━━━━━━━━━━━━━━━━━━━━ 3s, 7s left (all epochs 19s) - 1.0s/step - 32 samples/s - loss: 0.5000"
    )
    assert "all epochs" not in "".join(lines[5])


def test_terminal_is_redrawn_ten_times_a_second_and_reads_logs_only_then(time, terminal):
    read = []
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=1000)
    together.on_train_begin()
    together.on_epoch_begin(0)
    for batch in range(1000):
        time.now += 0.001
        together.on_train_batch_end(batch, LazyLogs(lambda: read.append(True) or {"loss": 0.5}))
    assert 9 <= len(read) <= 11
    assert len(terminal.frames()[-1:] or [[]]) <= 1
    assert terminal.getvalue().count("\r") == len(read)


def test_terminal_epochs_of_milliseconds_are_not_each_drawn_many_times(time, terminal):
    train(time, epochs=50, steps=4, seconds=0.001)
    assert terminal.getvalue().count("\r") <= 50 + 4


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 100, 160])
@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_terminal_no_frame_is_wider_than_the_terminal(time, terminal, monkeypatch, columns, count):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = ["loss", "accuracy", "auc", "mean_absolute_error", "precision", "recall"][:count]
    train(time, epochs=2, steps=1200, seconds=30, validation=3, names=names)
    for frames in terminal.frames():
        for frame in frames:
            # A metric that alone is too wide may wrap when it is not to be redrawn: better than to lose it.
            assert len(frame) < columns or (len(frames) == 1 and " - " not in frame), frame
    final = " ".join(terminal.left())
    for name in names:
        assert f"val_{name}: 0.2500" in final


def test_terminal_80_columns_what_is_left_out(time, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["accuracy", "auc", "loss", "precision"]
    train(time, epochs=1, names=names)
    first, *rest = terminal.left()
    assert terminal.frames()[0][0] == " 1/10 ━━━━━━━━━━ 1s, 9s left - 1.0s/step - loss: 0.5000 - accuracy: 0.5000 - …"
    assert first == "10/10 ━━━━━━━━━━━━━━━━━━━━ 10s - 1.0s/step - 32 samples/s"
    assert rest == ["      accuracy: 0.5000 - auc: 0.5000 - loss: 0.5000 - precision: 0.5000"]


def test_terminal_no_color(time, terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    train(time, epochs=1)
    assert "\x1b[" not in terminal.getvalue().replace("\x1b[K", "")
    assert "━━━━━━━━━━──────────" in terminal.getvalue()


def test_terminal_without_unicode(time, terminal):
    terminal.encoding = "ascii"
    train(time, epochs=1)
    terminal.getvalue().encode("ascii")
    assert "=" * 20 in terminal.left()[0]


def test_terminal_that_cannot_move_its_cursor_gets_plain_lines(time, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    train(time, epochs=1)
    assert terminal.getvalue() == "10/10 - 10s - 1.0s/step - 32 samples/s - loss: 0.5000\n"


def test_terminal_unknown_number_of_steps(time, terminal):
    train(time, epochs=2, steps=3, known=False)
    lines = terminal.frames()
    assert lines[1][:2] == [
        "1 step 1s - 1.0s/step - 32 samples/s - loss: 0.5000",
        "2 steps 2s - 1.0s/step - 32 samples/s - loss: 0.5000",
    ]
    assert terminal.left()[1] == "3/3 ━━━━━━━━━━━━━━━━━━━━ 3s - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert lines[3][0].startswith("1/3 ━━━━━━━━━━━━━━━━━━━━ 1s, 2s left")


def test_terminal_messages_of_callbacks_stand_on_lines_of_their_own(time, terminal, tmp_path):
    train(time, epochs=1, callbacks=[ModelCheckpoint(tmp_path / "m.keras", verbose=1)])
    assert terminal.left() == [
        f"Epoch 1: saving to {tmp_path / 'm.keras'}",
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 10s - 1.0s/step - 32 samples/s - loss: 0.5000",
    ]
    # The unfinished line was erased before the message took its place.
    assert "\r\x1b[KEpoch 1: saving" in terminal.getvalue()


def test_terminal_an_interrupted_line_is_left_and_the_next_begins_below(time, terminal):
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=10)
    together.on_train_begin()
    together.on_epoch_begin(0)
    together.on_train_batch_end(0, {"loss": 0.5})
    together.on_train_end()
    screen.message("after")
    assert terminal.left()[1] == "after"


def test_terminal_stopped_early_shows_the_steps_that_were_done(time, terminal):
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=10)
    together.on_train_begin()
    together.on_epoch_begin(0)
    time.now += 1
    together.on_train_batch_end(0, {"loss": 0.5})
    together.on_train_batch_end(1, {"loss": 0.5})
    together.on_epoch_end(0, {"loss": 0.5})
    assert terminal.left()[0].startswith(" 2/10 ━━━")


def test_terminal_the_first_step_is_left_out_of_the_pace(time, terminal):
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=4)
    together.on_epoch_begin(0)
    for batch, seconds in enumerate([10, 1, 1, 1]):
        time.now += seconds
        together.on_train_batch_end(batch, {})
    together.on_epoch_end(0, {})
    assert terminal.frames()[0][1] == "2/4 ━━━━━━━━━━━━━━━━━━━━ 11s, 2s left - 1.0s/step"
    assert terminal.left() == ["4/4 ━━━━━━━━━━━━━━━━━━━━ 13s - 1.0s/step"]


def test_terminal_evaluate_and_predict(time, terminal):
    together = CallbackList([], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=2)
    together.on_test_begin()
    for batch in range(2):
        time.now += 1
        together.on_test_batch_end(batch, {"loss": 0.5})
    together.on_test_end({"loss": 0.25})
    together.on_predict_begin()
    for batch in range(2):
        time.now += 1
        together.on_predict_batch_end(batch, {"outputs": pytest})
    together.on_predict_end()
    assert terminal.left() == [
        "2/2 ━━━━━━━━━━━━━━━━━━━━ 2s - 1.0s/step - loss: 0.2500",
        "2/2 ━━━━━━━━━━━━━━━━━━━━ 2s - 1.0s/step",
    ]


def test_evaluate_after_fit_with_the_same_list_is_shown(time, capsys):
    together = train(time, epochs=1)
    capsys.readouterr()
    together.on_test_begin()
    together.on_test_end({"loss": 0.5})
    assert capsys.readouterr().out.startswith("10/10 - 0s")


def test_stdout_is_looked_up_when_it_is_written_to(time, monkeypatch):
    first, second = Screen(), Screen()
    monkeypatch.setattr(sys, "stdout", first)
    switch = LambdaCallback(on_epoch_begin=lambda epoch, logs: monkeypatch.setattr(sys, "stdout", second))
    train(time, epochs=1, callbacks=[switch])
    assert first.getvalue() == ""
    assert second.left()


# --- in a notebook ------------------------------------------------------------------


@pytest.fixture
def notebook(monkeypatch):
    class ZMQInteractiveShell:
        pass

    class Shell(ZMQInteractiveShell):  # as in Colab
        pass

    fake = ModuleType("IPython")
    fake.get_ipython = Shell
    monkeypatch.setitem(sys.modules, "IPython", fake)
    made = io.StringIO()
    show_on(made, monkeypatch)
    return made


def test_notebook_carriage_returns_and_no_escape_codes(time, notebook):
    train(time, epochs=1)
    text = notebook.getvalue()
    assert "\x1b" not in text
    assert text.count("\n") == 1
    frames = text.split("\r")[1:]
    assert frames[0] == " 1/10 ━━────────────────── 1s, 9s left - 1.0s/step - 32 samples/s - loss: 0.5000"
    # A shorter text wipes the end of the longer one before it.
    assert len(frames[-1].rstrip("\n")) >= len(frames[-2].rstrip())
    assert frames[-1].rstrip() == "10/10 ━━━━━━━━━━━━━━━━━━━━ 10s - 1.0s/step - 32 samples/s - loss: 0.5000"


def test_notebook_message_wipes_the_line(time, notebook, tmp_path):
    train(time, epochs=1, callbacks=[ModelCheckpoint(tmp_path / "m.keras", verbose=1)])
    before = "10/10 ━━━━━━━━━━━━━━━━━━━━ 10s, 0s left - 1.0s/step - 32 samples/s - loss: 0.5000"
    assert f"\r{before}\r{' ' * len(before)}\rEpoch 1: saving" in notebook.getvalue()


def test_ipython_on_a_terminal_is_a_terminal(monkeypatch):
    class TerminalInteractiveShell:
        pass

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=TerminalInteractiveShell))
    assert screen.style(Screen()) == "live"
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert screen.style(Screen()) == "live"


def test_streams_that_cannot_say_what_they_are():
    closed = io.StringIO()
    closed.close()
    assert screen.style(closed) == "lines"
    assert screen.style(object()) == "lines"


# --- Progbar ------------------------------------------------------------------------


def test_progbar_on_a_terminal(time, terminal):
    bar = Progbar(4, width=8, unit_name="file")
    for step in range(4):
        time.now += 1
        bar.add(1, [("size", 2.0 * step)])
    assert terminal.frames()[0][1] == "2/4 ━━━━━━━━ 2s, 2s left - 1.0s/file - size: 1.0000"
    assert terminal.left() == ["4/4 ━━━━━━━━ 4s - 1.0s/file - size: 6.0000"]


def test_progbar_waits_for_its_interval(time, terminal):
    bar = Progbar(100, interval=0.5)
    for step in range(10):
        time.now += 0.1
        bar.update(step + 1)
    assert terminal.getvalue().count("\r") == 2


def test_progbar_with_both_kinds_of_names():
    with pytest.raises(ValueError, match="Progbar got both stateful_metrics and stateless_metrics"):
        Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_progbar_unknown_target_is_finished_when_told(time, capsys):
    bar = Progbar(None)
    time.now += 2
    bar.update(2, [("a", 1.0)])
    bar.update(2, [("a", 1.0)], finalize=True)
    assert capsys.readouterr().out == "2 steps - 2s - 1.0s/step - a: 1.0000\n"


# --- words and numbers --------------------------------------------------------------


@pytest.mark.parametrize(
    "value, text",
    [(0.5, "0.5000"), (-0.5, "-0.5000"), (1e-3, "1.0000e-03"), (0.0011, "0.0011"), (-1e-5, "-1.0000e-05")]
    + [(0.0, "0.0000e+00"), (12345.678, "12345.6780"), (float("nan"), "nan"), (float("inf"), "inf"), ("x", "x")]
    + [([1.0, 2.0], "1.5000"), (3, "3.0000")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    "seconds, text", [(0, "0s"), (59.4, "59s"), (59.6, "1:00"), (61, "1:01"), (3599.9, "1:00:00"), (90061, "25:01:01")]
)
def test_times(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    "seconds, exact, rounded",
    [
        (2e-6, "2us/step", "2us/step"),
        (0.00234, "2.3ms/step", "2ms/step"),
        (0.00999, "10ms/step", "10ms/step"),
        (0.5, "500ms/step", "500ms/step"),
        (1.26, "1.3s/step", "1s/step"),
        (75, "75s/step", "75s/step"),
        (0, "0us/step", "0s/step"),
    ],
)
def test_paces(seconds, exact, rounded):
    assert pace(seconds, "step") == exact
    assert whole_pace(seconds, "step") == rounded


@pytest.mark.parametrize(
    "rate, text",
    [(0.25, "0.2"), (9.96, "10.0"), (123.4, "123"), (9999, "9999"), (12345, "12.3k"), (2.5e6, "2.5M")],
)
def test_samples_per_second(rate, text):
    line = plain_line(Reading(1, 2, elapsed=1, per_unit=1, samples_per_second=rate))
    assert line.endswith(f" - {text} samples/s")


def test_letters_that_take_two_columns():
    reading = Reading(5, 10, elapsed=3, per_unit=0.6, metrics=[("損失", 0.5), ("é", 0.5)])
    text, filled = Drawing(reading, width=100, colours=False, fancy=True).live()
    assert filled == len(text) + 2


# --- in a real pseudo-terminal ------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_in_a_real_pseudo_terminal():
    import fcntl
    import pty
    import struct
    import termios

    code = """
        from uncrumple.callbacks import CallbackList
        together = CallbackList([], add_progbar=True, verbose="auto", epochs=1, steps=3, batch_size=8)
        together.on_train_begin()
        together.on_epoch_begin(0)
        for batch in range(3):
            together.on_train_batch_end(batch, {"loss": 0.5, "accuracy": 0.25, "mean_absolute_error": 0.5})
        together.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.25, "mean_absolute_error": 0.5, "val_loss": 0.75})
        together.on_train_end()
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:
            break
        if not block:
            break
        written += block
    os.close(ours)
    assert process.wait() == 0
    shown = Screen(written.decode().replace("\r\n", "\n"))
    for frames in shown.frames():
        assert all(len(frame) < 60 for frame in frames)
    first, *rest = shown.left()
    assert re.fullmatch(r"3/3 ━{20} 0s - \d+(\.\d)?[um]s/step( - \S+ samples/s)?", first)
    assert rest == ["    accuracy: 0.2500 - loss: 0.5000", "    mean_absolute_error: 0.5000 - val_loss: 0.7500"]
