"""What is linked into the binaries and what is beside them in the image, as CycloneDX 1.6 and SPDX 2.3."""

import datetime
import tomllib
import uuid


def crates(work, root):
    """The packages that `cargo tree` printed: those of any platform that are linked, without build scripts and macros."""
    licences = {}
    for line in filter(None, (work / "crates").read_text().splitlines()):
        package, licence = line.split("|")
        name, version = package.split()[:2]
        licences[name, version.removeprefix("v")] = licence.replace("/", " OR ").replace("  ", " ")
    locked = tomllib.loads((root / "Cargo.lock").read_text())["package"]
    by_name = {}
    for package in locked:
        by_name.setdefault(package["name"], []).append(package["version"])
    found = []
    for package in locked:
        key = package["name"], package["version"]
        if key not in licences:
            continue
        # A name, and the version where there are several.
        needs = (needed.split() for needed in package.get("dependencies", []))
        needs = [(name, (rest or by_name[name])[0]) for name, *rest in needs]
        found.append({
            "name": key[0],
            "version": key[1],
            "licence": licences[key],
            "sha256": package.get("checksum"),
            "purl": f"pkg:cargo/{key[0]}@{key[1].replace('+', '%2B')}",
            "needs": [f"pkg:cargo/{name}@{version.replace('+', '%2B')}" for name, version in needs if (name, version) in licences],
        })
    assert len(found) == len(licences), licences.keys() - {(it["name"], it["version"]) for it in found}
    return found


def debian(work):
    """The packages whose libraries are in the images."""
    found = []
    for line in (work / "packages").read_text().splitlines():
        sha256, name, version, architecture = line.split()
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={architecture}"
        found.append({"name": name, "version": version, "licence": None, "sha256": sha256, "purl": purl, "needs": []})
    return found


def tops(packages):
    """What nothing else needs."""
    needed = {purl for it in packages for purl in it["needs"]}
    return [it["purl"] for it in packages if it["purl"] not in needed]


def time(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cyclonedx(packages, version, epoch):
    components = []
    for it in packages:
        component = {"type": "library", "bom-ref": it["purl"], "name": it["name"], "version": it["version"], "purl": it["purl"]}
        if it["licence"]:
            component["licenses"] = [{"expression": it["licence"]}]
        # Of a package as it was downloaded. Our own have none.
        if it["sha256"]:
            component["hashes"] = [{"alg": "SHA-256", "content": it["sha256"]}]
        components.append(component)
    names = "\n".join(f"{it['purl']} {it['sha256']}" for it in packages)
    edges = [{"ref": "tributary", "dependsOn": tops(packages)}]
    edges += [{"ref": it["purl"], "dependsOn": sorted(set(it["needs"]))} for it in packages]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, version + names)}",
        "version": 1,
        "metadata": {
            "timestamp": time(epoch),
            "component": {"type": "application", "bom-ref": "tributary", "name": "tributary", "version": version,
                          "licenses": [{"license": {"id": "Apache-2.0"}}]},
        },
        "components": components,
        "dependencies": edges,
    }


def spdx(packages, version, epoch, source, revision):
    names = {it["purl"]: f"SPDXRef-Package-{number}" for number, it in enumerate(packages)}
    described = [{
        "SPDXID": "SPDXRef-tributary", "name": "tributary", "versionInfo": version, "downloadLocation": f"git+{source}@{revision}",
        "filesAnalyzed": False, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
    }]
    for it in packages:
        package = {
            "SPDXID": names[it["purl"]],
            "name": it["name"],
            "versionInfo": it["version"],
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": it["licence"] or "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": it["purl"]}],
        }
        if it["sha256"]:
            package["checksums"] = [{"algorithm": "SHA256", "checksumValue": it["sha256"]}]
        described.append(package)
    edges = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-tributary")]
    edges += [("SPDXRef-tributary", "DEPENDS_ON", names[purl]) for purl in tops(packages)]
    edges += [(names[it["purl"]], "DEPENDS_ON", names[purl]) for it in packages for purl in sorted(set(it["needs"]))]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"tributary-{version}",
        "documentNamespace": f"{source}/sbom/{version}/{revision}",
        "creationInfo": {"created": time(epoch), "creators": ["Tool: deploy/release/sbom.py"]},
        "packages": described,
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in edges],
    }
