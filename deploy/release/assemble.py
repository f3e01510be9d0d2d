"""Writes what describes a release: the index of images, the chart's artifact, the plug-in's manifest, SBOMs, provenance.

build calls it: assemble.py WORK OUT. Nothing but the standard library is needed.
"""

import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

import sbom

work, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
version, source, image, revision = (os.environ[name] for name in ("VERSION", "SOURCE", "IMAGE", "TRIBUTARY_REVISION"))
epoch = int(os.environ["SOURCE_DATE_EPOCH"])
here = pathlib.Path(__file__).parent
root = here.parent.parent
platforms = [line.split()[0] for line in (work / "platforms").read_text().splitlines()]

OCI = "application/vnd.oci.image."
NAMED = "org.opencontainers.image.ref.name"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def text(value):
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


class Layout:
    """An OCI layout in one archive."""

    def __init__(self):
        self.blobs = {}

    def add(self, kind, content, **more):
        self.blobs[digest(content)] = content
        return {"mediaType": kind, "digest": f"sha256:{digest(content)}", "size": len(content), **more}

    def write(self, path, top):
        """Writes what `top` describes, under the name of the version."""
        top = top | {"annotations": {NAMED: version}}
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [top]}
        files = {f"blobs/sha256/{name}": content for name, content in self.blobs.items()}
        files |= {"index.json": text(index), "oci-layout": text({"imageLayoutVersion": "1.0.0"})}
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
            for name in ("blobs", "blobs/sha256"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, epoch
                archive.addfile(entry)
            for name, content in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode, entry.mtime = len(content), 0o644, epoch
                archive.addfile(entry, io.BytesIO(content))


def images():
    """One index of the images of all platforms."""
    layout, manifests = Layout(), []
    for name in platforms:
        made = work / "images" / name
        for blob in (made / "blobs/sha256").iterdir():
            assert digest(blob.read_bytes()) == blob.name, blob
            layout.blobs[blob.name] = blob.read_bytes()
        (manifest,) = json.loads((made / "index.json").read_text())["manifests"]
        del manifest["annotations"]
        manifests.append(manifest)
    index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}
    top = layout.add(OCI + "index.v1+json", text(index))
    layout.write(out / f"tributary-{version}-image.tar", top)
    (out / "images.txt").write_text(f"{image}:{version}@{top['digest']}\n")
    return top["digest"].removeprefix("sha256:")


def chart():
    """The chart as Helm pushes it: its archive, and the values of Chart.yaml that are one word or line."""
    lines = (root / "deploy/helm/tributary/Chart.yaml").read_text().splitlines()
    pairs = (line.split(": ", 1) for line in lines if line[:1].isalpha() and ": " in line)
    meta = {key: value.strip('"') for key, value in pairs if value[0] not in "[{|>"}
    layout = Layout()
    config = layout.add("application/vnd.cncf.helm.config.v1+json", text(meta))
    archive = (out / f"tributary-{version}.tgz").read_bytes()
    layer = layout.add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive)
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config, "layers": [layer]}
    layout.write(out / f"tributary-{version}-chart.tar", layout.add(OCI + "manifest.v1+json", text(manifest)))


def plugin():
    """The manifest for krew, which is JSON and so YAML."""
    def of(name):
        archive = f"kubectl-tributary-{version}-linux-{name}.tar.gz"
        return {
            "selector": {"matchLabels": {"os": "linux", "arch": name}},
            "uri": f"{source}/releases/download/v{version}/{archive}",
            "sha256": digest((out / archive).read_bytes()),
            "bin": "kubectl-tributary",
        }

    manifest = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "tributary"},
        "spec": {
            "version": f"v{version}",
            "homepage": source,
            "shortDescription": "Status and diagnosis of the resource metrics API",
            "description": "Shows who scrapes which node, why metrics are missing and what to do about it,\n"
            "explains what an autoscaler will do, and switches between metrics-server and Tributary.\n",
            "platforms": [of(name) for name in platforms],
        },
    }
    (out / "tributary.yaml").write_bytes(text(manifest))


def provenance(index):
    """What the files were made of, in the form of SLSA."""
    subjects = [{"name": path.name, "digest": {"sha256": digest(path.read_bytes())}} for path in sorted(out.iterdir())]
    subjects.append({"name": image, "digest": {"sha256": index}})
    resolved = [{"uri": f"git+{source}@{revision}", "digest": {"gitCommit": revision}}]
    resolved.append({"name": "Cargo.lock", "digest": {"sha256": digest((root / "Cargo.lock").read_bytes())}})
    resolved += [{"uri": it["purl"], "digest": {"sha256": it["sha256"]}} for it in sbom.debian(work)]
    tools = sorted(set((work / "tools").read_text().splitlines()))
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{source}/blob/{revision}/docs/RELEASING.md",
                "externalParameters": {"source": source, "image": image, "revision": revision},
                "internalParameters": {"platforms": platforms, "compilers": tools, "SOURCE_DATE_EPOCH": epoch},
                "resolvedDependencies": resolved,
            },
            "runDetails": {"builder": {"id": f"{source}/blob/{revision}/deploy/release/build"}},
        },
    }
    (out / f"tributary-{version}.provenance.json").write_bytes(text(statement))


index = images()
chart()
plugin()
packages = sbom.crates(work, root) + sbom.debian(work)
(out / f"tributary-{version}.cdx.json").write_bytes(text(sbom.cyclonedx(packages, version, epoch)))
(out / f"tributary-{version}.spdx.json").write_bytes(text(sbom.spdx(packages, version, epoch, source, revision)))
provenance(index)
