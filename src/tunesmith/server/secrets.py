"""What looks like a secret is masked wherever text leaves the process."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""
    hf_[A-Za-z0-9]{8,}                      # Hugging Face
    | (?:api_)?org_[A-Za-z0-9]{20,}         # Hugging Face organisations
    | sk-[A-Za-z0-9_-]{16,}                 # OpenAI, Anthropic
    | gh[pousr]_[A-Za-z0-9]{16,}            # GitHub
    | github_pat_[A-Za-z0-9_]{16,}
    | glpat-[A-Za-z0-9_-]{16,}              # GitLab
    | xox[abprs]-[A-Za-z0-9-]{10,}          # Slack
    | AKIA[A-Z0-9]{12,}                     # AWS
    | AIza[A-Za-z0-9_-]{20,}                # Google
    | eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*   # JSON web token
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*
    | (?<=Bearer[ ])[A-Za-z0-9._~+/=-]{12,}
    | (?<=://)[^/\s:@]+:[^/\s:@]+(?=@)      # user:password in a URL
    """,
    re.VERBOSE,
)
# A long unbroken mix of letters and digits that is no known kind of token may be one all the same.
_RANDOM = re.compile(r"(?=[A-Za-z0-9_+/=-]*\d)(?=[A-Za-z0-9_+/=-]*[A-Za-z])[A-Za-z0-9_+/=-]{32,}")
MASK = "[secret]"


def mask(text: str) -> str:
    """`text` with known kinds of secrets masked."""
    return _SECRET.sub(MASK, text)


def mask_argument(text: str) -> str:
    """An argument's value as it may be echoed: known secrets masked, and whatever is random enough to be one."""
    return _RANDOM.sub(MASK, mask(text))
