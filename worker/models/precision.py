"""In which numbers a network computes; parameters, optimizers, states and losses are float32."""

import torch

from shared.job_spec import Precision

# Whatever computes with a network imports this. By torch's default convolutions are TF32, though
# matrix products are not.
torch.backends.cudnn.allow_tf32 = False


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Within it, layers that bear it compute in bfloat16, if that is what is asked for there."""
    chosen = in_bfloat16(precision, device.type, supported=_supports_it(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen)


def in_bfloat16(precision: Precision, device: str, *, supported: bool) -> bool:
    """Whether to compute in bfloat16 on a kind of device that supports it, or does not."""
    match precision:
        case "auto":
            return device == "cuda" and supported
        case "bfloat16":
            return True
        case "float32":
            return False


def _supports_it(device: torch.device) -> bool:
    """Whether a GPU's own arithmetic knows bfloat16; a CPU computes with it, if slowly."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
