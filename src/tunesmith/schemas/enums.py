"""Closed sets of values. Members are lower-case strings, as they stand on the wire and in stored files."""

from enum import StrEnum


class TuningMethod(StrEnum):
    """How the weights are tuned."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    PROMPT_TUNING = "prompt_tuning"
    PREFIX_TUNING = "prefix_tuning"

    @property
    def is_prompt_learning(self) -> bool:
        """Virtual tokens are learned and the weights stay as they are."""
        return self in (TuningMethod.PROMPT_TUNING, TuningMethod.PREFIX_TUNING)


class DatasetSize(StrEnum):
    """Below 1,000 training examples, 1,000 to 10,000, above 10,000."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class ComputeBudget(StrEnum):
    """How much computing the plan may ask for."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class DataFormat(StrEnum):
    """What a dataset's rows are, once read."""

    INSTRUCTION = "instruction"
    CHAT = "chat"
    COMPLETION = "completion"


class TrainingMode(StrEnum):
    """A full run, or a time-boxed trial."""

    FULL = "full"
    SMOKE = "smoke"


class RunState(StrEnum):
    """Where a run, or any other background work, stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"

    @property
    def is_active(self) -> bool:
        """More news is to be expected without anybody doing anything."""
        return self in (RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.STOPPING)


class Verdict(StrEnum):
    """The outcome of a check."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


class Fix(StrEnum):
    """What clean_dataset can do: leave out the rows that a check found, or mend their text."""

    REPAIR_TEXT = "repair_text"
    STRIP_HTML = "strip_html"
    TRIM_SPACE = "trim_space"
    UNIFY_LABELS = "unify_labels"
    MASK_PERSONAL_DATA = "mask_personal_data"
    MASK_SECRETS = "mask_secrets"
    DROP_NEAR_DUPLICATES = "drop_near_duplicates"
    DROP_CONFLICTING_DUPLICATES = "drop_conflicting_duplicates"
    DROP_PLACEHOLDERS = "drop_placeholders"
    DROP_TRUNCATED = "drop_truncated"
    DROP_LOOPING = "drop_looping"
    DROP_PROMPT_ECHO = "drop_prompt_echo"
    DROP_REFUSALS = "drop_refusals"
    DROP_TOO_SHORT = "drop_too_short"
    DROP_TOO_LONG = "drop_too_long"
    DROP_HARMFUL = "drop_harmful"
    DROP_OTHER_LANGUAGES = "drop_other_languages"
    DROP_BROKEN_CHATS = "drop_broken_chats"
    DROP_BAD_PAIRS = "drop_bad_pairs"
    DROP_ODD_LAYOUT = "drop_odd_layout"
    DROP_ODD_LABELS = "drop_odd_labels"
    DROP_ODD_FIELDS = "drop_odd_fields"
    DROP_WRONG_TYPES = "drop_wrong_types"
    DROP_DAMAGED_TEXT = "drop_damaged_text"
    DROP_PERSONAL_DATA = "drop_personal_data"
    DROP_SECRETS = "drop_secrets"

    @property
    def drops(self) -> bool:
        """It leaves rows out, rather than mending them."""
        return self.value.startswith("drop_")


class Half(StrEnum):
    """The two halves of a golden set: one for iterating, one for the verdict."""

    DEV = "dev"
    TEST = "test"


class Work(StrEnum):
    """The kinds of background work, each with its own handle prefix."""

    LOAD_DATASET = "load_dataset"
    CLEAN_DATASET = "clean_dataset"
    BUILD_GOLDEN_SET = "build_golden_set"
    FIND_MODELS = "find_models"
    CONFIGURE = "configure"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GENERATE = "generate"
    COMPARE = "compare"
    PUSH = "push"
