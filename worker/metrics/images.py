"""How near generated images are to the wanted ones; values from 0 to 1."""

from torch import Tensor

MOST_DB = 100.0  # of a perfect image, whose ratio is infinite


def squared_errors(given: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """The mse of each image. (B, 3, H, W) twice -> (B,)"""
    return {"mse": (given - wanted).square().double().mean((1, 2, 3))}


def image_values(given: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """mse, psnr (dB) and ssim of each image. (B, 3, H, W) twice -> (B,) each"""
    from torchmetrics.functional.image import (  # noqa: PLC0415 - costs seconds
        peak_signal_noise_ratio,
        structural_similarity_index_measure,
    )

    pixels = (1, 2, 3)
    psnr = peak_signal_noise_ratio(given, wanted, 1.0, reduction="none", dim=pixels)
    ssim = structural_similarity_index_measure(given, wanted, reduction="none", data_range=1.0)
    assert isinstance(ssim, Tensor)  # noqa: S101 - for mypy: the whole images are not asked for
    return {
        **squared_errors(given, wanted),
        "psnr": psnr.clamp(max=MOST_DB),
        "ssim": ssim,
    }
