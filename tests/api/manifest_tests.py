"""The manifests that run.sh has made: after their schema, and true of the files beside them."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "tools"))
import json_schema  # noqa: E402

schema = json.load(open(os.path.join(os.environ["SRC"], "docs", "manifest.schema.json"), encoding="utf-8"))


def read(folder, name):
    """A manifest that its schema allows, and the header beside it."""
    text = open(os.path.join(folder, name + ".json"), encoding="utf-8").read()
    manifest = json.loads(text)
    assert not json_schema.complaints(manifest, schema), json_schema.complaints(manifest, schema)
    assert not re.search(r"/(tmp|work|home|root)\b|20\d\d-\d\d", text), "a path or a time in it"
    for form, path in manifest["files"].items():
        assert os.path.exists(os.path.join(folder, path)), (form, path)
    return manifest, open(os.path.join(folder, name + ".h"), encoding="utf-8").read()


def packed_is_true(folder, files, weights):
    packed = os.path.join(folder, files["packed"])
    assert os.path.getsize(packed) == weights["bytes"]
    if weights["mode"] == "external":
        assert weights["file"] == os.path.basename(packed)


def single(folder, name, mode, trained=False):
    manifest, header = read(folder, name)
    assert manifest["prefix"] == name and manifest["weights"]["mode"] == mode
    assert "variants" not in manifest and ("training" in manifest) == trained
    assert trained or "packed" in manifest["files"]
    if "packed" in manifest["files"]:
        packed_is_true(folder, manifest["files"], manifest["weights"])
    if trained:
        # four floats for a value: parameter, momentum, gradient, running mean
        assert manifest["training"]["state_bytes"] > 4 * 4 * manifest["parameters"] > 0
        assert manifest["weights"]["bytes"] >= 4 * manifest["parameters"]
    assert f"#define {name}_MAX_BATCH {manifest['max_batch']}\n" in header
    assert f"#define {name}_PARAMETERS {manifest['parameters']}\n" in header
    assert f"#define {name}_WEIGHTS_BYTES {manifest['weights']['bytes']}\n" in header
    floats = 1
    for n in manifest["inputs"][0]["shape"][1:]:
        floats *= n
    assert f"#define {name}_INPUT0_FLOATS {floats}\n" in header


def several(folder, name, mode):
    manifest, header = read(folder, name)
    variants = manifest["variants"]
    assert [v["target"]["cpu"] for v in variants] == ["x86-64-v4", "x86-64-v3", "x86-64-v2"]
    for key in ("target", "weights", "memory", "steps", "kernels"):
        assert manifest[key] == variants[-1][key], key
    assert len({v["weights"]["xxh64"] for v in variants}) == 3
    for i, v in enumerate(variants):
        assert v["weights"]["mode"] == mode and v["files"].keys() == {"packed", "llvm-ir", "asm"}
        packed_is_true(folder, v["files"], v["weights"])
        assert f"#define sq_VARIANT{i}_WEIGHTS_BYTES {v['weights']['bytes']}\n" in header
    most = max(v["memory"]["bytes_per_image"] for v in variants) // 4
    assert f"#define sq_ARENA_FLOATS_PER_IMAGE {most}\n" in header


if sys.argv[1] == "variants":
    several(sys.argv[2], "em", "embedded")
    several(sys.argv[2], "ex", "external")
elif len(sys.argv) > 2:
    for trained_name in sys.argv[2:]:
        single(sys.argv[1], trained_name, "embedded", True)
else:
    single(sys.argv[1], "squeeze", "embedded")
    single(sys.argv[1], "other", "external")
print("ok")
