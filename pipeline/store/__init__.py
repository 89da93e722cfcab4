"""Results on disk: whole files, the lock, state, settings, predictions, tables. Knows nothing of how they are made."""

from pipeline.store.files import clean_leftovers, read_json, write_atomically, write_bytes, write_json, write_text
from pipeline.store.fingerprints import FileFacts, Fingerprints, file_facts
from pipeline.store.lock import locked
from pipeline.store.predictions import load_predictions, save_predictions, stored_key
from pipeline.store.settings import load_settings, save_settings
from pipeline.store.state import Stage, State, load_state, save_state
from pipeline.store.tables import write_tables

__all__ = [
    "FileFacts",
    "Fingerprints",
    "Stage",
    "State",
    "clean_leftovers",
    "file_facts",
    "load_predictions",
    "load_settings",
    "load_state",
    "locked",
    "read_json",
    "save_predictions",
    "save_settings",
    "save_state",
    "stored_key",
    "write_atomically",
    "write_bytes",
    "write_json",
    "write_tables",
    "write_text",
]
