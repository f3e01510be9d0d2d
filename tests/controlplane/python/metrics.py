"""Lists and gets NodeMetrics and PodMetrics with the official client, as a program in Python would.

    metrics.py KUBECONFIG NAMESPACE

Prints what it saw, as JSON.
"""

import json
import sys

from kubernetes import client, config

GROUP = "metrics.k8s.io"


def names(items):
    return [item["metadata"]["name"] for item in items]


def seen(api, version, namespace):
    nodes = api.list_cluster_custom_object(GROUP, version, "nodes")
    pods = api.list_namespaced_custom_object(
        GROUP, version, namespace, "pods", label_selector="app=web"
    )
    everywhere = api.list_cluster_custom_object(GROUP, version, "pods")
    page = api.list_namespaced_custom_object(GROUP, version, namespace, "pods", limit=1)
    rest = api.list_namespaced_custom_object(
        GROUP, version, namespace, "pods", _continue=page["metadata"]["continue"]
    )
    try:
        missing = api.get_cluster_custom_object(GROUP, version, "nodes", "nobody")
    except client.exceptions.ApiException as refused:
        missing = {"code": refused.status, "reason": json.loads(refused.body)["reason"]}
    return {
        "kinds": [nodes["kind"], pods["kind"]],
        "nodes": names(nodes["items"]),
        "node": [
            sorted(api.get_cluster_custom_object(GROUP, version, "nodes", name)["usage"])
            for name in names(nodes["items"])
        ],
        "pods": names(pods["items"]),
        "pod": [
            [
                container["name"]
                for container in api.get_namespaced_custom_object(
                    GROUP, version, namespace, "pods", name
                )["containers"]
            ]
            for name in names(pods["items"])
        ],
        "everywhere": sorted(
            name
            for name, item in zip(names(everywhere["items"]), everywhere["items"])
            if item["metadata"]["namespace"] == namespace
        ),
        "pages": [names(page["items"]), names(rest["items"])],
        "missing": missing,
    }


def main(kubeconfig, namespace):
    config.load_kube_config(kubeconfig)
    api = client.CustomObjectsApi()
    print(json.dumps({version: seen(api, version, namespace) for version in ["v1", "v1beta1"]}))


main(*sys.argv[1:])
