"""The manifests that run.sh and train.sh have made: after their schema, and true of the files beside
them. manifest_tests.py FOLDER [NAME of a library that trains]."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "tools"))
import json_schema  # noqa: E402

folder = sys.argv[1]
schema = json.load(open(os.path.join(os.environ["SRC"], "docs", "manifest.schema.json"), encoding="utf-8"))
trained = sys.argv[2:]
for name, mode in [(n, "embedded") for n in trained] or (("squeeze", "embedded"), ("other", "external")):
    text = open(os.path.join(folder, name + ".json"), encoding="utf-8").read()
    manifest = json.loads(text)
    assert not json_schema.complaints(manifest, schema), json_schema.complaints(manifest, schema)
    assert not re.search(r"/(tmp|work|home|root)\b|20\d\d-\d\d", text), "a path or a time in it"
    assert manifest["prefix"] == name and manifest["weights"]["mode"] == mode
    for form, path in manifest["files"].items():
        assert os.path.exists(os.path.join(folder, path)), (form, path)
    assert ("training" in manifest) == (name in trained)
    if "packed" in manifest["files"]:
        packed = os.path.join(folder, manifest["files"]["packed"])
        assert os.path.getsize(packed) == manifest["weights"]["bytes"]
    assert trained or "packed" in manifest["files"]
    if mode == "external":
        assert manifest["weights"]["file"] == os.path.basename(packed)
    header = open(os.path.join(folder, name + ".h"), encoding="utf-8").read()
    assert f"#define {name}_MAX_BATCH {manifest['max_batch']}\n" in header
    assert f"#define {name}_PARAMETERS {manifest['parameters']}\n" in header
    assert f"#define {name}_WEIGHTS_BYTES {manifest['weights']['bytes']}\n" in header
    floats = 1
    for n in manifest["inputs"][0]["shape"][1:]:
        floats *= n
    assert f"#define {name}_INPUT0_FLOATS {floats}\n" in header
    if trained:
        # four floats for a value: parameter, momentum, gradient, running mean
        assert manifest["training"]["state_bytes"] > 4 * 4 * manifest["parameters"] > 0
        assert manifest["weights"]["bytes"] >= 4 * manifest["parameters"]
print("ok")
