"""Callbacks: what `fit`, `evaluate` and `predict` tell the outside about a run, and when.

The hooks are Keras 3's by name and order, with one of our own, `Callback.on_progress`: training runs a whole epoch
in compiled code, and a Python call per batch would cost more than the batch.

===========================  =============================================================================
hook                         called
===========================  =============================================================================
``set_params``               once, before training, with epochs, steps, samples and verbose
``set_model``                once, before training
``on_train_begin``           once, before the first epoch
``on_epoch_begin``           before each epoch, with its index counted from 0
``on_progress``              within an epoch, about ten times a second at most, with the steps done
``on_train_batch_begin``     before each step, and after it: steps run one by one for a callback that has
``on_train_batch_end``       such a hook, with the same bits, and nobody else pays for it
``on_test_begin``, …         round each evaluation, that of validation data within `fit` included, and
                             round each of its batches
``on_epoch_end``             after each epoch, with its loss and metrics, those of validation included
``on_train_end``             once, always: also when training ends by an exception or Ctrl-C; `model.finished`
                             tells which
``on_predict_begin``, …      round `predict`, and round each of its batches
===========================  =============================================================================
"""

from .averages import SwapEMAWeights
from .base import Callback
from .callback_list import CallbackList
from .checkpoints import BackupAndRestore, ModelCheckpoint
from .functions import LambdaCallback
from .history import History
from .loggers import CSVLogger, TensorBoard
from .progress import ProgressBar, format_seconds, format_value
from .rates import LearningRateScheduler, ReduceLROnPlateau
from .stopping import EarlyStopping, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "format_seconds",
    "format_value",
]
