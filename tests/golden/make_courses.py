"""Writes courses.json: what the scripts of tests/courses leave behind with real Keras, where it needs TensorFlow.

Run by hand, where keras, torch and tensorflow are installed: KERAS_BACKEND=torch python tests/golden/make_courses.py
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
sys.path.insert(0, str(Path(__file__).parents[1]))

if __name__ == "__main__":
    import keras

    from courses_run import SCRIPTS, run

    NEEDS_TENSORFLOW = [
        "bigrams_tfidf",
        "callbacks_all",
        "folder_of_images",
        "mini_gpt",
        "reviews_bilstm",
        "structured",
        "translation",
        "weather",
    ]
    found = {}
    for path in SCRIPTS:
        if path.stem in NEEDS_TENSORFLOW:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                found[path.stem] = run(keras, path)
                os.chdir("/")
    Path(__file__).with_name("courses.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
