{{/*
Who is who: the ServiceAccounts of scrapers and the one whose tokens kubelets see.

Values may be those of an older chart (`helm upgrade --reuse-values`), so what is new in them is read with defaults.
*/}}

{{/* The account of a scraper. In: root, group (may be empty). In profile sidecar the pod has one account for both components. */}}
{{- define "tributary.scraperServiceAccountName" -}}
{{- $root := .root -}}
{{- $group := default (dict) .group -}}
{{- $account := $root.Values.scraper.serviceAccount -}}
{{- if eq $root.Values.profile "sidecar" -}}
{{- include "tributary.serviceAccountName" $root -}}
{{- else if $group.serviceAccountName -}}
{{- $group.serviceAccountName -}}
{{- else if $account.create -}}
{{- $base := default (printf "%s-scraper" (include "tributary.fullname" $root)) $account.name -}}
{{- $base }}{{- with $group.name }}-{{ . }}{{- end -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end }}

{{/* The account whose tokens kubelets see; empty if they see the scrapers' own. */}}
{{- define "tributary.kubeletReader" -}}
{{- $reader := default (dict) .Values.kubeletReader -}}
{{- $account := default (dict) $reader.serviceAccount -}}
{{- if ternary .Values.rbac.create $reader.enabled (kindIs "invalid" $reader.enabled) -}}
{{- default (printf "%s-kubelet-reader" (include "tributary.fullname" .)) $account.name -}}
{{- end -}}
{{- end }}

{{/* Whether a scraper shows kubelets neither a token of its own nor one that it requests. In: the list of its flags. */}}
{{- define "tributary.needsNoToken" -}}
{{- if regexMatch "--(kubelet-client-certificate|deprecated-kubelet-completely-insecure)( |=|\\]|$)" (toString .) -}}true{{- end -}}
{{- end }}

{{/* Whether only a pod itself may write its Lease. */}}
{{- define "tributary.hasLeasePolicy" -}}
{{- $wanted := (default (dict) .Values.leasePolicy).enabled -}}
{{- /* Without a cluster Helm knows versions and no kinds. */ -}}
{{- $kinds := .Capabilities.APIVersions.Has "v1/Pod" -}}
{{- $known := ternary (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) $kinds -}}
{{- if and (include "tributary.overTcp" .) (ternary (and .Values.rbac.create $known) $wanted (kindIs "invalid" $wanted)) -}}true{{- end -}}
{{- end }}

{{/*
All accounts of scrapers, as JSON:

  now      list of {name, group, selector}: what is rendered
  before   names that scrapers of this release run under which an upgrade replaces; they stay in force until the next one,
           so that nothing is missing while pods are replaced, or if they cannot be
  asking   names that ask kubelets with tokens of their own
*/}}
{{- define "tributary.accounts" -}}
{{- $root := . -}}
{{- $now := list -}}
{{- $names := list -}}
{{- $groups := ternary .Values.scraper.groups (list) (eq .Values.profile "ha") -}}
{{- range $group := default (list (dict)) $groups -}}
{{- $name := include "tributary.scraperServiceAccountName" (dict "root" $root "group" $group) -}}
{{- $names = append $names $name -}}
{{- $now = append $now (dict "name" $name "group" (default "default" $group.name) "selector" (default "" $group.selector)) -}}
{{- end -}}
{{- $before := list -}}
{{- $asking := list -}}
{{- $found := lookup "apps/v1" "Deployment" (include "tributary.namespace" .) "" -}}
{{- range $deployment := default (list) $found.items -}}
{{- $labels := default (dict) $deployment.metadata.labels -}}
{{- $ours := and (eq (get $labels "app.kubernetes.io/instance") $root.Release.Name) (eq (get $labels "app.kubernetes.io/name") (include "tributary.name" $root)) -}}
{{- $pod := $deployment.spec.template.spec -}}
{{- range $container := ternary $pod.containers (list) $ours -}}
{{- if eq $container.name "scraper" -}}
{{- $name := default "default" $pod.serviceAccountName -}}
{{- if not (has $name $names) -}}{{- $before = append $before $name -}}{{- end -}}
{{- $flags := toString $container.args -}}
{{- if not (or (contains "--kubelet-token-service-account" $flags) (include "tributary.needsNoToken" $flags)) -}}
{{- $asking = append $asking $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (not (include "tributary.kubeletReader" .)) (default (dict) .Values.kubeletReader).scrapersToo -}}
{{- $asking = concat $names $before -}}
{{- end -}}
{{- dict "now" $now "before" (uniq $before) "asking" (uniq $asking) | toJson -}}
{{- end }}

{{/* The names that scrapers run under, now and before, as JSON. */}}
{{- define "tributary.scraperNames" -}}
{{- $accounts := include "tributary.accounts" . | fromJson -}}
{{- $names := list -}}
{{- range $accounts.now -}}{{- $names = append $names .name -}}{{- end -}}
{{- concat $names $accounts.before | uniq | toJson -}}
{{- end }}

{{/* In: names, namespace. */}}
{{- define "tributary.subjects" -}}
{{- $namespace := .namespace -}}
{{- range .names }}
- kind: ServiceAccount
  name: {{ . }}
  namespace: {{ $namespace }}
{{- end }}
{{- end }}
