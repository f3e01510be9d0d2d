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

{{/*
Fails if frontends would refuse the scrapers of this release: with rules (--bus-allow) they accept nothing from publishers without
one, and with a CA of publishers (--bus-client-ca-file) nothing without a certificate. In: root, flags (of frontends).
*/}}
{{- define "tributary.checkPublishers" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $overTcp := include "tributary.overTcp" $root -}}
{{- $keys := dict -}}
{{- $rules := dict -}}
{{- range .flags -}}
{{- $_ := set $keys .name .key -}}
{{- if eq .name "bus-allow" -}}
{{- $publisher := regexReplaceAll "^--bus-allow=([^=]*)=.*$" .text "${1}" -}}
{{- $nodes := regexReplaceAll "^--bus-allow=[^=]*=" .text "" | trim -}}
{{- $_ := set $rules $publisher (append (default (list) (get $rules $publisher)) $nodes) -}}
{{- end -}}
{{- end -}}
{{- $byCertificate := and $overTcp (hasKey $keys "bus-client-ca-file") -}}
{{- $groups := ternary $v.scraper.groups (list) (eq $v.profile "ha") -}}
{{- range $group := default (list (dict)) $groups -}}
{{- $extra := list (dict "key" "scraper.args" "args" $v.scraper.args) (dict "key" (printf "scraper.groups %s: args" $group.name) "args" $group.args) -}}
{{- $given := include "tributary.givenArgs" (dict "root" $root "half" "scraper" "extra" $extra) | fromJson -}}
{{- $certificate := false -}}
{{- $selector := "" -}}
{{- range $given.flags -}}
{{- if eq .name "bus-client-certificate" -}}{{- $certificate = true -}}{{- end -}}
{{- if eq .name "node-selector" -}}{{- $selector = trimPrefix "--node-selector=" .text | trim -}}{{- end -}}
{{- end -}}
{{- if and $byCertificate (not $certificate) -}}
{{- fail (printf "%s: --bus-client-ca-file: frontends would refuse scrapers without a certificate; give them one, with --bus-client-certificate and --bus-client-key in scraper.args" (get $keys "bus-client-ca-file")) -}}
{{- end -}}
{{- /* Which names are in a certificate is not known here. Accounts of groups have rules by the chart. */ -}}
{{- $publisher := "" -}}
{{- if not $overTcp -}}
{{- with coalesce (default (dict) $v.securityContext).runAsUser (default (dict) $v.podSecurityContext).runAsUser -}}
{{- $publisher = printf "uid:%d" (int .) -}}
{{- end -}}
{{- else if and (not $group.name) (or (not $byCertificate) (hasKey $keys "bus-require-token")) -}}
{{- $account := include "tributary.scraperServiceAccountName" (dict "root" $root "group" $group) -}}
{{- $publisher = printf "system:serviceaccount:%s:%s" (include "tributary.namespace" $root) $account -}}
{{- end -}}
{{- if and $rules $publisher -}}
{{- $nodes := default (list) (get $rules $publisher) -}}
{{- $key := get $keys "bus-allow" -}}
{{- if not $nodes -}}
{{- fail (printf "%s: --bus-allow: no rule is for %s, the publisher of this release, so frontends would refuse all its samples; add --bus-allow=%s=%s, or leave --bus-allow out" $key $publisher $publisher $selector) -}}
{{- end -}}
{{- if and (not $selector) (eq (len $nodes) 1) (first $nodes) -}}
{{- fail (printf "%s: --bus-allow=%s=%s: scrapers of this release scrape all nodes, and frontends would refuse the others; leave the selector out, or add --node-selector=%s to args" $key $publisher (first $nodes) (first $nodes)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
