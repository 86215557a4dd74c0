"""What a step changes, and how it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training import runs
from training.fit.state import State

CPU = torch.device("cpu")
GAUSSIAN = 'model.likelihood={family="gaussian"}'
LOGISTIC = 'model.likelihood={family="logistic"}'


def test_the_seed_decides_the_first_weights(tmp_path: Path) -> None:
    """Two runs of one seed begin alike, of two seeds not; the global generator is not touched."""
    before = torch.get_rng_state()

    first, second = (State(runs.config(tmp_path), CPU).vae.state_dict() for _ in range(2))
    other = State(runs.config(tmp_path, "seed=1"), CPU).vae.state_dict()

    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first["encoder.body.1.weight"], other["encoder.body.1.weight"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("likelihood", [GAUSSIAN, LOGISTIC])
def test_decay_is_for_matrices_alone(tmp_path: Path, likelihood: str) -> None:
    """Weight decay shrinks matrices; biases and the scale are left alone, and all are trained."""
    state = State(runs.config(tmp_path, likelihood), CPU)

    groups = {
        parameter: group for group in state.optimiser.param_groups for parameter in group["params"]
    }

    for name, parameter in state.vae.named_parameters():
        assert (groups[parameter]["weight_decay"] > 0) == name.endswith("weight")
    assert len(groups) == len(list(state.vae.parameters()))


def test_a_learned_prior_is_not_decayed(tmp_path: Path) -> None:
    """Its means and log-variances say where latents lie, and are trained like everything else."""
    mixture = 'model.prior={family="mixture", components=3}'
    state = State(runs.config(tmp_path, mixture), CPU)

    decays = {
        id(parameter): group["weight_decay"]
        for group in state.optimiser.param_groups
        for parameter in group["params"]
    }

    assert state.vae.prior is not None
    assert [decays[id(one)] for one in state.vae.prior.parameters()] == [0, 0, 0]
    assert len(decays) == len(list(state.vae.parameters()))


def test_a_learned_prior_changes_no_other_weight(tmp_path: Path) -> None:
    """Networks begin from a seed as they do under N(0, I), which has no parameters."""
    mixture = 'model.prior={family="mixture", components=3}'
    normal = State(runs.config(tmp_path), CPU).vae.state_dict()
    mixed = State(runs.config(tmp_path, mixture), CPU).vae.state_dict()

    assert set(mixed) - set(normal) == {"prior.logits", "prior.means", "prior.logvars"}
    for name, tensor in normal.items():
        assert torch.equal(tensor, mixed[name])


@pytest.mark.parametrize("likelihood", [GAUSSIAN, LOGISTIC])
def test_the_scale_learns_faster(tmp_path: Path, likelihood: str) -> None:
    """A learned scale, one or one a channel, has ten times the learning rate of the networks."""
    state = State(runs.config(tmp_path, likelihood), CPU)
    rate = 0.5
    state.set_learning_rate(rate)

    rates = {
        id(parameter): group["lr"]
        for group in state.optimiser.param_groups
        for parameter in group["params"]
    }

    assert rates[id(state.vae.log_scale)] == pytest.approx(10 * rate)
    assert rates[id(state.vae.get_parameter("encoder.body.1.weight"))] == rate
    assert rates[id(state.vae.get_parameter("encoder.body.1.bias"))] == rate


def test_the_average_follows(tmp_path: Path) -> None:
    """The averaged weights move a part of the way to the present ones."""
    state = State(runs.config(tmp_path), CPU)
    name = "encoder.body.1.bias"
    with torch.no_grad():
        state.vae.get_parameter(name).fill_(1.0)
        state.ema.get_parameter(name).fill_(0.0)

    state.average()  # at step 0 the decay is 1/10

    torch.testing.assert_close(state.ema.get_parameter(name), torch.full((64,), 0.9))


def test_the_average_has_the_bits_of_a_lerp_of_each(tmp_path: Path) -> None:
    """Averaging all weights at once rounds as averaging one after another does."""
    state = State(runs.config(tmp_path, "ema=0.97"), CPU)
    state.step = 1000
    with torch.no_grad():
        for parameter in state.vae.parameters():
            parameter.add_(torch.randn_like(parameter))
        expected = [
            average.lerp(value, 1 - 0.97)
            for average, value in zip(state.ema.parameters(), state.vae.parameters(), strict=True)
        ]

    state.average()

    assert all(map(torch.equal, state.ema.parameters(), expected))


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_in_memory_is_a_setting(tmp_path: Path, channels_last: bool) -> None:
    """Convolutions have their weights in the layout that was asked for, with the same values."""
    conv = 'model.network={architecture="conv", widths=[4, 8], hidden=8}'
    state = State(runs.config(tmp_path, conv, f"channels_last={str(channels_last).lower()}"), CPU)

    weight = state.vae.get_parameter("encoder.body.1.residual.1.weight")

    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert torch.equal(
        weight,
        State(runs.config(tmp_path, conv), CPU).vae.get_parameter(
            "encoder.body.1.residual.1.weight"
        ),
    )


def test_no_average(tmp_path: Path) -> None:
    """With ema = 0 the weights themselves are exported, and say so."""
    state = State(runs.config(tmp_path, "ema=0"), CPU)
    with torch.no_grad():
        for parameter in state.vae.parameters():
            parameter.add_(1.0)

    state.average()
    weights = state.weights()

    assert weights.kind == "raw"
    torch.testing.assert_close(dict(weights.tensors), dict(state.vae.state_dict()))


def test_the_best_epoch_is_remembered(tmp_path: Path) -> None:
    """Weights of the best validation bound are kept, whatever comes after."""
    state = State(runs.config(tmp_path), CPU)
    name = "encoder.body.1.bias"
    for epoch, bound, value in ((1, -100.0, 1.0), (2, -90.0, 2.0), (3, -95.0, 3.0)):
        with torch.no_grad():
            state.ema.get_parameter(name).fill_(value)
        state.step = 10 * epoch
        state.remember_if_best(bound, epoch)

    weights = state.weights()

    assert (state.best_epoch, weights.step) == (2, 20)
    assert set(weights.tensors[name].tolist()) == {2.0}
