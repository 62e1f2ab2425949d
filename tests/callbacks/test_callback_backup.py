"""BackupAndRestore: an interrupted run ends where an uninterrupted one does, and no broken file is trusted."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from callback_fakes import Model

from uncrumple.callbacks import BackupAndRestore, LambdaCallback, training_state
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.core.seeds import set_random_seed


def fresh(features=4):
    set_random_seed(3)
    return Model(features)


def train(folder, stop=lambda epoch, step: False, model=None, **settings):
    """Train a model made anew, as a program started again does; return it, its history and the random states."""
    model = model or fresh()
    history = model.fit([BackupAndRestore(folder, **settings)], epochs=3, steps=5, stop=stop)
    return model, history.history.get("loss", []), [random.random(), np.random.random(), torch.rand(()).item()]


def interrupted(folder, at, **settings):
    model = fresh()
    with pytest.raises(KeyboardInterrupt):
        train(folder, lambda epoch, step: (epoch, step) == at, model, **settings)
    return model


@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 3, 5])
@pytest.mark.parametrize("at", [(0, 3), (1, 0), (1, 2), (2, 4)])
def test_the_rest_of_the_run_is_bit_for_bit_the_same(tmp_path, save_freq, at):
    whole, losses, randoms = train(tmp_path / "whole", save_freq=save_freq)
    interrupted(tmp_path / "part", at, save_freq=save_freq)
    resumed, later, randoms_later = train(tmp_path / "part", save_freq=save_freq)
    for one, two in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(one, two)
    assert later == losses[-len(later) :]
    assert randoms_later == randoms
    state_one, state_two = whole.optimizer.state_dict()["state"], resumed.optimizer.state_dict()["state"]
    for place in state_one:
        assert all(torch.equal(state_one[place][key], state_two[place][key]) for key in state_one[place])


def test_it_goes_on_in_the_middle_of_an_epoch(tmp_path):
    interrupted(tmp_path, (1, 3), save_freq=2)
    model, steps = fresh(), []
    train(tmp_path, lambda epoch, step: steps.append((epoch, step)), model, save_freq=2)
    # Backups were made after 2 and 4 batches of the first epoch and after 1 and 3 of the second.
    assert steps[:3] == [(1, 3), (1, 4), (2, 0)]


def test_interrupted_between_two_epochs_no_batch_is_done_twice_or_left_out(tmp_path):
    """A backup after the last batch of an epoch whose end was not reached."""
    whole, losses, _ = train(tmp_path / "whole", save_freq=5)
    model = fresh()
    backup = BackupAndRestore(tmp_path / "part", save_freq=5)
    backup.on_epoch_end = lambda epoch, logs: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit([backup], epochs=3, steps=5)
    resumed, later, _ = train(tmp_path / "part", save_freq=5)
    assert later == losses
    assert torch.equal(whole.dense.weight, resumed.dense.weight)


def test_the_callbacks_leave_no_mark_on_a_later_fit(tmp_path):
    interrupted(tmp_path, (1, 0))
    model, losses, _ = train(tmp_path)
    assert len(losses) == 2
    assert model._initial_epoch is None
    assert len(model.fit([], epochs=2).epoch) == 2


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_nor_does_a_run_that_is_interrupted_again(tmp_path, save_freq):
    interrupted(tmp_path, (1, 3), save_freq=save_freq)
    model = fresh()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, lambda epoch, step: (epoch, step) == (1, 4), model, save_freq=save_freq)
    assert len(model.fit([], epochs=2).epoch) == 2
    whole, losses, _ = train(tmp_path / "whole")
    resumed, later, _ = train(tmp_path, save_freq=save_freq)
    assert later == losses[1:]
    assert torch.equal(whole.dense.weight, resumed.dense.weight)


def test_it_is_deleted_at_the_end_or_kept(tmp_path):
    train(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    train(tmp_path / "b", delete_checkpoint=False)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["training_state.pt"]
    _, losses, _ = train(tmp_path / "b", delete_checkpoint=False)
    assert losses == []  # all epochs were done before


def test_files_of_others_in_the_folder_stay(tmp_path):
    (tmp_path / "notes").write_text("mine")
    train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_it_stays_when_training_ended_in_order_but_within_an_epoch(tmp_path):
    """As the loop does on Ctrl-C: no end of the epoch, but an end of the training."""
    _, losses, _ = train(tmp_path / "whole")
    backup, model = BackupAndRestore(tmp_path / "part"), fresh()

    def stop(epoch, step):
        if (epoch, step) == (1, 2):
            backup.on_train_end()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit([backup], epochs=3, steps=5, stop=stop)
    assert (tmp_path / "part" / "training_state.pt").exists()
    _, later, _ = train(tmp_path / "part")
    assert later == losses[1:]
    assert not (tmp_path / "part").exists()


def test_it_is_deleted_after_early_stopping(tmp_path):
    stop = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True))
    model = fresh()
    model.fit([BackupAndRestore(tmp_path / "a"), stop], epochs=3)
    assert not (tmp_path / "a").exists()


def test_no_backups_with_save_freq_false(tmp_path):
    interrupted(tmp_path / "a", (2, 0), save_freq=False)
    assert not (tmp_path / "a").exists()
    interrupted(tmp_path / "b", (1, 0))
    _, losses, _ = train(tmp_path / "b", save_freq=False)
    assert len(losses) == 2


def test_it_says_that_it_goes_on(tmp_path, capsys):
    interrupted(tmp_path, (1, 3), save_freq=2)
    backup = BackupAndRestore(tmp_path)
    backup.set_model(fresh())
    backup.set_params({"verbose": 1})
    backup.on_train_begin()
    assert capsys.readouterr().out == (
        f"Going on with epoch 2, after 3 of its batches, from the backup in {tmp_path}\n"
    )


def test_names_with_other_counters_do_not_matter(tmp_path):
    interrupted(tmp_path, (1, 0))
    model = fresh()
    renamed = {f"{name}_1": value for name, value in model.state_dict().items()}
    model.state_dict = lambda: renamed
    model.load_state_dict = lambda state: [renamed[name].copy_(value) for name, value in state.items()]
    _, losses, _ = train(tmp_path, model=model)
    assert len(losses) == 2


# --- files that cannot be trusted ---------------------------------------------------


def state_of(folder):
    return folder / "training_state.pt"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, share):
    interrupted(tmp_path, (1, 0))
    data = state_of(tmp_path).read_bytes()
    state_of(tmp_path).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(OSError) as caught:
        train(tmp_path)
    assert str(caught.value) == (
        f"The backup {str(state_of(tmp_path))!r} cannot be used: its checksum is wrong: it was cut off or changed.\n"
        "Expected a complete file that BackupAndRestore has written.\n"
        "Fix: remove it to start afresh; double_checkpoint=True keeps an earlier one for such a case"
    )


def test_any_changed_byte_is_noticed(tmp_path):
    interrupted(tmp_path, (1, 0))
    data = state_of(tmp_path).read_bytes()
    for place in random.Random(0).sample(range(len(data)), 40):
        changed = bytearray(data)
        changed[place] ^= 1
        state_of(tmp_path).write_bytes(changed)
        with pytest.raises(OSError, match="cannot be used"):
            training_state.read(str(state_of(tmp_path)))


def test_the_backup_before_is_used_where_the_latest_is_broken(tmp_path):
    interrupted(tmp_path, (2, 1), double_checkpoint=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training_state.pt", "training_state.pt.bkp"]
    state_of(tmp_path).write_bytes(b"broken")
    with pytest.warns(UncrumpleWarning, match="The backup before it is used."):
        _, losses, _ = train(tmp_path, double_checkpoint=True)
    assert len(losses) == 2  # not 1: the first epoch's backup
    assert losses == train(tmp_path / "whole")[1][1:]


def test_killed_between_the_two_renames(tmp_path):
    interrupted(tmp_path, (2, 1), double_checkpoint=True)
    os.remove(state_of(tmp_path))
    _, losses, _ = train(tmp_path, double_checkpoint=True)
    assert len(losses) == 2


def test_what_is_left_of_a_killed_run_is_removed(tmp_path):
    left = tmp_path / ".training_state.pt.abc123.tmp"
    left.write_bytes(b"half")
    model = fresh()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, lambda epoch, step: True, model)
    assert not left.exists()


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    training_state.write(str(state_of(tmp_path)), {"epoch": 0, "batch": 0, "weights": Evil()})
    with pytest.raises(OSError, match="cannot be used"):
        train(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_another_kind(tmp_path):
    torch.save({"epoch": 1}, state_of(tmp_path))
    with pytest.raises(OSError, match="cannot be used"):
        train(tmp_path)


def test_the_backup_of_another_model_changes_nothing(tmp_path):
    interrupted(tmp_path, (1, 0))
    model = fresh(features=5)
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        train(tmp_path, model=model)
    assert str(caught.value) == (
        f"The backup {str(state_of(tmp_path))!r} holds the weights of another model: 2 of them, "
        "dense.weight of shape (1, 4) where this model has dense.weight of shape (1, 5).\n"
        "Expected the 2 weights of this model.\n"
        "Fix: give BackupAndRestore another backup_dir, or remove this one to start afresh"
    )
    assert all((one == two).all() for one, two in zip(before, model.get_weights()))


def test_the_backup_of_a_larger_model(tmp_path):
    interrupted(tmp_path, (1, 0))
    model = fresh()
    del model.dense.bias
    with pytest.raises(ValueError, match=r"2 of them, dense.bias of shape \(1,\) where this model has nothing"):
        train(tmp_path, model=model)


# --- writing ------------------------------------------------------------------------


def test_a_full_disk_names_the_file_and_leaves_the_last_backup(tmp_path, monkeypatch):
    interrupted(tmp_path, (1, 0))
    before = state_of(tmp_path).read_bytes()

    def full(self, data):
        self.error = OSError(28, "No space left on device")
        raise self.error

    monkeypatch.setattr(training_state._Hashing, "write", full)
    with pytest.raises(OSError) as caught:
        train(tmp_path)
    came, expected, fix = str(caught.value).split("\n")
    assert came == f"Cannot write '{state_of(tmp_path)}': No space left on device."
    assert expected.startswith("Expected more free; there are ")
    assert fix == "Fix: free some space, or choose a folder on another disk; a file that was there is unharmed"
    assert state_of(tmp_path).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["training_state.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of the system")
def test_a_limit_of_the_system_is_such_an_error_too(tmp_path):
    code = """
        import resource, signal, sys, torch
        from uncrumple.callbacks import training_state
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            training_state.write(sys.argv[1], {"weights": torch.zeros(100_000)})
        except OSError as error:
            print("errno", error.errno)
    """
    path = tmp_path / "state.pt"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "errno 27\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_while_writing_the_last_backup_is_whole(tmp_path):
    code = """
        import sys, torch
        from uncrumple.callbacks import training_state
        print("started", flush=True)
        for number in range(10**6):
            training_state.write(sys.argv[1], {"number": number, "weights": torch.full((200_000,), float(number))})
    """
    path = tmp_path / "state.pt"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.02)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    state = training_state.read(str(path))
    assert torch.equal(state["weights"], torch.full((200_000,), float(state["number"])))


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="BackupAndRestore cannot write"):
        train(tmp_path / "file" / "backup", lambda epoch, step: pytest.fail("training began"))


def test_an_unbuilt_model():
    model = fresh()
    model.built = False
    with pytest.raises(ValueError) as caught:
        model.fit([BackupAndRestore("backup")])
    assert str(caught.value) == (
        "BackupAndRestore got the model 'fake', which is not built yet.\n"
        "Expected a model whose weights exist.\n"
        "Fix: begin the model with Input(shape=...), or call it on one batch before fit()"
    )


@pytest.mark.parametrize("folder", ["", None])
def test_no_folder(folder):
    with pytest.raises(ValueError, match="Expected the path of a folder"):
        BackupAndRestore(folder)


@pytest.mark.parametrize("save_freq", [0, -2, "batch", True, 1.5])
def test_save_freq(save_freq):
    with pytest.raises(ValueError, match="Expected 'epoch', or a positive whole number of batches"):
        BackupAndRestore("backup", save_freq=save_freq)


def test_a_state_that_a_backup_cannot_hold():
    with pytest.raises(TypeError) as caught:
        training_state.plain({"schedule": print}, "optimizer")
    assert str(caught.value).splitlines()[0].endswith("a builtin_function_or_method, which a backup cannot hold.")


def test_a_view_of_a_large_tensor_is_saved_as_itself(tmp_path):
    large = torch.zeros(1_000_000)
    training_state.write(str(tmp_path / "s"), {"weights": training_state.plain([large[:2]], "model")})
    assert (tmp_path / "s").stat().st_size < 10_000
