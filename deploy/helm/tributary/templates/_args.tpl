{{/*
Which flags each half takes, by files/flags.yaml, which is written from the code: "none" (a switch), "optional" (a
switch that may have a value), "one" or "many" (values).
*/}}

{{/*
Reads a list of flags. In: root, key (of the values, for complaints), args, components (which of them may be meant).
Out, as JSON: for each half a list of {name, kind, text}.
*/}}
{{- define "tributary.readArgs" -}}
{{- $flags := .root.Files.Get "files/flags.yaml" | fromYaml -}}
{{- $reserved := .root.Files.Get "files/reserved.yaml" | fromYaml -}}
{{- $key := .key -}}
{{- $components := .components -}}
{{- $out := dict "frontend" (list) "scraper" (list) -}}
{{- $pending := "" -}}
{{- range $arg := .args -}}
{{- $arg = toString $arg -}}
{{- $text := "" -}}
{{- $name := "" -}}
{{- if $pending -}}
{{- $name = $pending -}}
{{- $text = printf "--%s=%s" $name $arg -}}
{{- $pending = "" -}}
{{- else -}}
{{- if not (regexMatch "^--?[A-Za-z]" $arg) -}}
{{- fail (printf "%s: %q is not a flag" $key $arg) -}}
{{- end -}}
{{- $name = regexReplaceAll "^--?([^=]*)(=.*)?$" $arg "${1}" -}}
{{- if eq $name "l" -}}{{- $name = "node-selector" -}}{{- end -}}
{{- $text = printf "--%s%s" $name (regexReplaceAll "^[^=]*" $arg "") -}}
{{- with index $reserved $name -}}
{{- fail (printf "%s: --%s is for the chart to set: %s" $key $name .) -}}
{{- end -}}
{{- end -}}
{{- $kind := "" -}}
{{- range $component := $components -}}
{{- $kind = default $kind (index $flags $component $name) -}}
{{- end -}}
{{- if not $kind -}}
{{- fail (printf "%s: --%s is no flag of the %s; docs/MIGRATING.md tells what became of metrics-server's flags" $key $name (join " or the " $components)) -}}
{{- end -}}
{{- if and (has $kind (list "one" "many")) (not (contains "=" $text)) -}}
{{- $pending = $name -}}
{{- else -}}
{{- range $component := $components -}}
{{- if index $flags $component $name -}}
{{- $kept := list -}}
{{- range index $out $component -}}
{{- if or (ne .name $name) (eq .kind "many") -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- $_ := set $out $component (append $kept (dict "name" $name "kind" $kind "text" $text)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $pending -}}
{{- fail (printf "%s: --%s needs a value" $key $pending) -}}
{{- end -}}
{{- toJson $out -}}
{{- end }}

{{/*
The flags of a half. In: root, half, own (those the chart sets), extra (list of {key, args} for this half alone).
*/}}
{{- define "tributary.args" -}}
{{- $root := .root -}}
{{- $component := .half -}}
{{- $shared := concat (default (list) $root.Values.defaultArgs) (default (list) $root.Values.args) -}}
{{- $_ := include "tributary.readArgs" (dict "root" $root "key" "defaultArgs" "args" $root.Values.defaultArgs "components" (list "frontend" "scraper")) -}}
{{- $_ := include "tributary.readArgs" (dict "root" $root "key" "args" "args" $root.Values.args "components" (list "frontend" "scraper")) -}}
{{- $read := include "tributary.readArgs" (dict "root" $root "key" "args" "args" $shared "components" (list "frontend" "scraper")) | fromJson -}}
{{- $mine := index $read $component -}}
{{- range .extra -}}
{{- $more := include "tributary.readArgs" (dict "root" $root "key" .key "args" .args "components" (list $component)) | fromJson -}}
{{- range $flag := index $more $component -}}
{{- $kept := list -}}
{{- range $mine -}}
{{- if or (ne .name $flag.name) (eq .kind "many") -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- $mine = append $kept $flag -}}
{{- end -}}
{{- end -}}
{{- $selector := default "" .selector -}}
{{- $lines := .own -}}
{{- range $mine -}}
{{- if and $selector (eq .name "node-selector") -}}
{{- $selector = printf "%s,%s" (trimPrefix "--node-selector=" .text) $selector -}}
{{- else -}}
{{- $lines = append $lines .text -}}
{{- end -}}
{{- end -}}
{{- if $selector -}}
{{- $lines = append $lines (printf "--node-selector=%s" $selector) -}}
{{- end -}}
{{- toYaml $lines -}}
{{- end }}

{{- define "tributary.frontendArgs" -}}
{{- $own := list (printf "--secure-port=%d" (int .Values.containerPort)) -}}
{{- if ne .Values.bindAddress "0.0.0.0" -}}
{{- $own = append $own (printf "--bind-address=%s" .Values.bindAddress) -}}
{{- end -}}
{{- if eq .Values.tls.type "auto" -}}
{{- $own = append $own (printf "--tls-auto=%s/%s" (include "tributary.namespace" .) (include "tributary.fullname" .)) -}}
{{- $own = append $own (printf "--tls-auto-names=%s.%s" (include "tributary.serverName" .) .Values.tls.clusterDomain) -}}
{{- with include "tributary.adopted" . -}}
{{- $own = append $own (printf "--tls-auto-adopt=%s" .) -}}
{{- end -}}
{{- else if ne .Values.tls.type "metrics-server" -}}
{{- $own = append $own "--tls-cert-file=/etc/tributary/tls/tls.crt" -}}
{{- $own = append $own "--tls-private-key-file=/etc/tributary/tls/tls.key" -}}
{{- end -}}
{{- if include "tributary.overTcp" . -}}
{{- $host := ternary (printf "[%s]" .Values.bindAddress) .Values.bindAddress (contains ":" .Values.bindAddress) -}}
{{- $own = append $own (printf "--bus-address=%s:%s" $host (include "tributary.busPort" .)) -}}
{{- else -}}
{{- $own = append $own "--bus-address=unix:///run/tributary/bus.sock" -}}
{{- end -}}
{{- if and (eq .Values.profile "ha") .Values.scraper.groups -}}
{{- /* Each group publishes its own nodes. What an upgrade replaces goes on as before until then. */ -}}
{{- $accounts := include "tributary.accounts" . | fromJson -}}
{{- $user := printf "system:serviceaccount:%s" (include "tributary.namespace" .) -}}
{{- range $accounts.now -}}
{{- $own = append $own (printf "--bus-allow=%s:%s=%s" $user .name .selector) -}}
{{- end -}}
{{- range $accounts.before -}}
{{- $own = append $own (printf "--bus-allow=%s:%s=" $user .) -}}
{{- end -}}
{{- end -}}
{{- $given := toString (concat (default (list) .Values.defaultArgs) (default (list) .Values.args) (default (list) .Values.frontend.args)) -}}
{{- if and .Values.metrics.enabled (not (contains "--authorization-always-allow-paths" $given)) -}}
{{- /* The default, and /metrics: probes must not depend on kube-apiserver. */ -}}
{{- $own = append $own "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics" -}}
{{- end -}}
{{- include "tributary.args" (dict "root" . "half" "frontend" "own" $own "extra" (list (dict "key" "frontend.args" "args" .Values.frontend.args))) -}}
{{- end }}

{{/* After which time without a scrape a node has an Event. */}}
{{- define "tributary.nodeEventDelay" -}}
{{- default "5m" (default (dict) .Values.nodeEvents).delay -}}
{{- end }}

{{/* In: root, group (may be empty). */}}
{{- define "tributary.scraperArgs" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $group := default (dict) .group -}}
{{- $host := ternary (printf "[%s]" $values.bindAddress) $values.bindAddress (contains ":" $values.bindAddress) -}}
{{- $own := list (printf "--admin-address=%s:%s" $host (include "tributary.adminPort" $root)) -}}
{{- if include "tributary.overTcp" $root -}}
{{- $namespace := include "tributary.namespace" $root -}}
{{- $own = append $own (printf "--frontend=k8s:///%s/%s-bus:bus" $namespace (include "tributary.fullname" $root)) -}}
{{- $own = append $own (printf "--bus-server-name=%s" (include "tributary.serverName" $root)) -}}
{{- $own = append $own "--bus-ca-file=/var/run/secrets/tributary/ca.crt" -}}
{{- $own = append $own "--bus-token-file=/var/run/secrets/tributary/bus-token" -}}
{{- with $group.name -}}{{- $own = append $own (printf "--group=%s" .) -}}{{- end -}}
{{- else -}}
{{- /* Alone: no leases, no permission for them. */ -}}
{{- $own = concat $own (list "--frontend=unix:///run/tributary/bus.sock" "--shard-count=1" "--shard-index=0") -}}
{{- end -}}
{{- $given := concat (default (list) $values.defaultArgs) (default (list) $values.args) (default (list) $values.scraper.args) (default (list) $group.args) -}}
{{- with include "tributary.kubeletReader" $root -}}
{{- if not (include "tributary.needsNoToken" $given) -}}
{{- $own = append $own (printf "--kubelet-token-service-account=%s/%s" (include "tributary.namespace" $root) .) -}}
{{- end -}}
{{- end -}}
{{- with include "tributary.nodeEventDelay" $root -}}
{{- if ne . "5m" -}}{{- $own = append $own (printf "--node-event-delay=%s" .) -}}{{- end -}}
{{- end -}}
{{- $extra := list (dict "key" "scraper.args" "args" $values.scraper.args) -}}
{{- with $group.args -}}
{{- $extra = append $extra (dict "key" (printf "scraper.groups %s: args" $group.name) "args" .) -}}
{{- end -}}
{{- include "tributary.args" (dict "root" $root "half" "scraper" "own" $own "extra" $extra "selector" $group.selector) -}}
{{- end }}
