"""The second look: its body is the packaged one, its cut-outs are the regions, its masks those of the own class."""

import pytest
import torch

from amodal.errors import UserError
from amodal.models.backbones import crop_body, feature_body
from amodal.models.regions import Regions
from amodal.models.second_look import SecondLook, cut_out


def test_its_body_is_efficientnet_lite0_without_the_coarsest_map():
    body, channels = crop_body("efficientnet_lite0")
    whole = feature_body("tf_efficientnet_lite0", "efficientnet_lite0")
    shown = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = body(shown), whole(shown)
    assert [maps.shape[1:] for maps in found] == [(channels[0], 28, 28), (channels[1], 14, 14), (channels[2], 7, 7)]
    for maps, same in zip(found, expected[:3], strict=True):
        torch.testing.assert_close(maps, same, rtol=1e-4, atol=1e-4)


def test_its_weights_may_be_a_file_and_must_be_its_own(tmp_path):
    body, _ = crop_body("efficientnet_lite0")
    torch.save(body.state_dict(), tmp_path / "own.pt")
    again, _ = crop_body(str(tmp_path / "own.pt"))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in body.state_dict().items())
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt: weights of another network"):
        crop_body(str(tmp_path / "other.pt"))


def test_it_sees_the_picture_the_coarse_masks_and_the_shapes_of_its_own_class():
    torch.manual_seed(0)
    look = SecondLook("none", width=8, num_shapes=3, num_classes=2)
    shown, labels = torch.rand(2, 3, 112, 112), torch.tensor([1, 2])
    coarse, shapes = (torch.randn(2, 28, 28), torch.randn(2, 28, 28)), torch.rand(2, 3, 14, 14)

    def drawn(shown=shown, coarse=coarse, shapes=shapes, labels=labels):
        return torch.stack(look(shown, coarse, shapes, labels)[:2])

    before = drawn()
    assert before.shape == (2, 2, 28, 28)
    for changed in (
        drawn(shown=1 - shown),
        drawn(coarse=(-coarse[0], coarse[1])),
        drawn(coarse=(coarse[0], -coarse[1])),
        drawn(shapes=1 - shapes),
        drawn(labels=labels.flip(0)),
    ):
        assert not torch.allclose(changed, before, atol=1e-4)
    alone = drawn(shown[1:], (coarse[0][1:], coarse[1][1:]), shapes[1:], labels[1:])
    torch.testing.assert_close(alone, before[:, 1:])
    assert drawn(shown[:0], (coarse[0][:0], coarse[1][:0]), shapes[:0], labels[:0]).shape == (2, 0, 28, 28)


def test_a_region_is_cut_out_at_its_place_whatever_its_size():
    images = torch.zeros(2, 3, 40, 40)
    images[1, :, 10:20, 4:24] = 1
    regions = Regions(torch.tensor([[4.0, 10, 24, 20], [0, 0, 40, 40]]), torch.ones(2).long(), torch.tensor([1, 0]))
    shown = cut_out(images, regions, 28)
    assert shown.shape == (2, 3, 28, 28)
    assert float(shown[0, :, 2:-2, 2:-2].min()) == pytest.approx(1)
    assert not shown[1].any()


def test_it_classifies_by_what_is_visible_and_by_the_whole_region():
    look = SecondLook("none", width=4, num_shapes=0, num_classes=2)
    deep, nothing = torch.rand(1, 112, 7, 7), torch.zeros(1, 28, 28)
    left = nothing.clone()
    left[:, :, :8] = 1  # two of the deepest map's seven columns
    within, whole = deep[..., :2].mean((2, 3)), deep.mean((2, 3))
    torch.testing.assert_close(look.classified(deep, left), look.classifier(torch.cat([within, whole], 1)))
    torch.testing.assert_close(look.classified(deep, nothing), look.classifier(torch.cat([0 * within, whole], 1)))
