"""The tree of exceptions. Every message names the value, the rule and the repair.

MatchcutError
├── VideoError                 this input is skipped and reported; the rest of the directory goes on
│   ├── UnreadableVideo        nothing can be decoded from it
│   ├── ChangedWhileRead       the file was written to during the run
│   ├── ExportFailed           a clip could not be made, or did not verify
│   └── UnusableResult         a stored result is damaged, or of another version
├── UsageError                 stop, exit code 2: a missing path, a bad option
│   ├── ConfigError            an unknown or impossible setting
│   ├── CheckpointError        a model file that is missing, cut short, or not ours
│   └── DataError              training or evaluation data that cannot be used
├── MachineError               stop, exit code 3: the environment is not up to the job
│   ├── DirectoryLocked        another run writes to the same folder
│   └── DiskFull               with the path and the bytes that are missing
└── DeviceOutOfMemory          the accelerator refused a batch; `infer` halves it and goes on
"""


class MatchcutError(Exception):
    """Anything that Matchcut says in words of its own."""

    exit_code = 1


class VideoError(MatchcutError):
    """This input cannot be done; the others go on."""


class UnreadableVideo(VideoError):
    """Nothing can be decoded from this file."""


class ChangedWhileRead(VideoError):
    """The file was written to during the run, so its results would belong to no file."""


class ExportFailed(VideoError):
    """A clip could not be made, or did not verify."""


class UnusableResult(VideoError):
    """A stored result is damaged, was edited, or comes from another version."""


class UsageError(MatchcutError):
    """The request itself cannot be carried out."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown or impossible."""


class CheckpointError(UsageError):
    """A model file is missing, damaged, or of another kind."""


class DataError(UsageError):
    """Training or evaluation data cannot be used as it is."""


class MachineError(MatchcutError):
    """The environment is not up to the job."""

    exit_code = 3


class DirectoryLocked(MachineError):
    """Another process is writing to the same folder."""


class DiskFull(MachineError):
    """There is no room for a result."""


class DeviceOutOfMemory(MatchcutError):
    """The accelerator has no room for a batch of this size."""
