{{/*
Which flags each half takes, by files/flags.yaml, which is written from the code: "none" (a switch), "optional" (a
switch that may have a value), "one" or "many" (values); and what a value may be. files/checks.yaml has the rest of what
the binaries refuse.
*/}}

{{/*
Reads a list of flags. In: root, key (of the values, for complaints), args, components (which of them may be meant).
Out, as JSON: for each half a list of {key, name, kind, text}.
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
{{- /* Other names of the same flags: both together are refused as twice the same. */ -}}
{{- $name = default $name (get (dict "l" "node-selector" "logging-format" "log-format") $name) -}}
{{- $text = printf "--%s%s" $name (regexReplaceAll "^[^=]*" $arg "") -}}
{{- with index $reserved $name -}}
{{- fail (printf "%s: --%s is for the chart to set: %s" $key $name .) -}}
{{- end -}}
{{- end -}}
{{- $known := "" -}}
{{- $names := list -}}
{{- range $component := $components -}}
{{- $known = default $known (index $flags $component $name) -}}
{{- $names = concat $names (keys (index $flags $component)) -}}
{{- end -}}
{{- if not $known -}}
{{- $nearest := include "tributary.nearest" (dict "key" $name "known" $names) -}}
{{- with $nearest -}}{{- $nearest = printf " (did you mean --%s?)" . -}}{{- end -}}
{{- fail (printf "%s: --%s is no flag of the %s%s; docs/MIGRATING.md tells what became of metrics-server's flags" $key $name (join " or the " $components) $nearest) -}}
{{- end -}}
{{- $kind := first (splitList " " $known) -}}
{{- if and (has $kind (list "one" "many")) (not (contains "=" $text)) -}}
{{- $pending = $name -}}
{{- else -}}
{{- include "tributary.checkValue" (dict "key" $key "name" $name "text" $text "kind" $kind "type" (last (splitList " " $known)) "root" $.root) -}}
{{- range $component := $components -}}
{{- if index $flags $component $name -}}
{{- $_ := set $out $component (append (index $out $component) (dict "key" $key "name" $name "kind" $kind "text" $text)) -}}
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
Fails if the binary would refuse the value of a flag. In: root, key, name, text, kind, type (as in files/flags.yaml).
*/}}
{{- define "tributary.checkValue" -}}
{{- $has := contains "=" .text -}}
{{- $value := regexReplaceAll "^[^=]*=?" .text "" -}}
{{- $complaint := "" -}}
{{- if and $has (eq .kind "none") -}}
{{- $complaint = "takes no value" -}}
{{- else if $has -}}
{{- $type := get (dict "node-selector" "selector" "bus-allow" "rule") .name | default .type -}}
{{- $types := dict "selector" "labels of nodes as in kubectl -l" "rule" "PUBLISHER=SELECTOR, with labels of nodes as in kubectl -l" "duration" "a duration such as 15s or 1m30s" "size" "an amount of memory such as 65536, 64Ki or 4Mi" "integer" "a whole number" "number" "a number" "file" "the path of a file" -}}
{{- $patterns := dict "selector" (include "tributary.selectors" .) "rule" (printf "[^=]+=(%s)" (include "tributary.selectors" .)) "duration" (include "tributary.durations" .) "size" "[0-9]+(Ki|Mi)?" "integer" "-?[0-9]+" "number" "-?[0-9]+([.][0-9]+)?" "file" ".+" -}}
{{- $pattern := get $patterns $type -}}
{{- if contains "|" $type -}}
{{- $pattern = $type -}}
{{- $_ := set $types $type (replace "|" " or " $type) -}}
{{- end -}}
{{- $values := ternary (splitList "," $value) (list $value) (and (eq .kind "many") (ne $type "rule")) -}}
{{- range $one := $values -}}
{{- if and $pattern (not (regexMatch (printf "^(%s)$" $pattern) $one)) -}}
{{- $complaint = printf "should be %s" (get $types $type) -}}
{{- end -}}
{{- end -}}
{{- $range := index (.root.Files.Get "files/checks.yaml" | fromYaml).ranges .name -}}
{{- if and $range (not $complaint) -}}
{{- $amount := include "tributary.amount" $value | float64 -}}
{{- $least := first $range -}}
{{- $most := last $range -}}
{{- if or (lt $amount (include "tributary.amount" $least | float64)) (and (ne $most "any") (gt $amount (include "tributary.amount" $most | float64))) -}}
{{- $complaint = ternary (printf "should be at least %s" $least) (printf "should be %s to %s" $least $most) (eq $most "any") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $complaint -}}
{{- fail (printf "%s: %s: %s" $.key $.text .) -}}
{{- end -}}
{{- end }}

{{/* What a duration looks like that is not negative. */}}
{{- define "tributary.durations" -}}
[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)
{{- end }}

{{/* What a label selector looks like, if not too closely: keys and values may be longer than Kubernetes allows. */}}
{{- define "tributary.selectors" -}}
{{- $key := "[A-Za-z0-9][-A-Za-z0-9_./]*" -}}
{{- $value := "[-A-Za-z0-9_.]*" -}}
{{- $test := printf "[ \\t]*(=|==|!=)[ \\t]*%s|[ \\t]+(in|notin)[ \\t]*[(][-A-Za-z0-9_., \\t]*[)]|[ \\t]*[<>][ \\t]*-?[0-9]+" $value -}}
{{- $one := printf "[ \\t]*(![ \\t]*%s|%s(%s)?)[ \\t]*" $key $key $test -}}
{{- printf "[ \\t]*|%s(,%s)*" $one $one -}}
{{- end }}

{{/* A number, a duration in milliseconds, or an amount of memory in bytes. */}}
{{- define "tributary.amount" -}}
{{- $units := dict "ns" 0.000001 "us" 0.001 "µs" 0.001 "μs" 0.001 "ms" 1.0 "s" 1000.0 "m" 60000.0 "h" 3600000.0 "Ki" 1024.0 "Mi" 1048576.0 -}}
{{- $sum := 0.0 -}}
{{- if regexMatch "^[-+]?[0-9.]+$" . -}}
{{- $sum = float64 . -}}
{{- end -}}
{{- range regexFindAll "[0-9.]+[a-zA-Zµμ]+" . -1 -}}
{{- $unit := regexReplaceAll "^[0-9.]+" . "" -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/*
Of names, the one that a misspelled one probably should be: what begins as half of it does. In: key, known. May be empty.
*/}}
{{- define "tributary.nearest" -}}
{{- $key := .key | lower | replace "-" "" | replace "_" "" -}}
{{- $nearest := "" -}}
{{- $best := 0 -}}
{{- range $name := .known | uniq | sortAlpha -}}
{{- $other := $name | lower | replace "-" "" -}}
{{- $same := 0 -}}
{{- range $n := until (int (min (len $key) (len $other))) -}}
{{- if and (eq $same $n) (eq (substr 0 (int (add1 $n)) $key) (substr 0 (int (add1 $n)) $other)) -}}
{{- $same = int (add1 $n) -}}
{{- end -}}
{{- end -}}
{{- $score := int (sub (mul 100 $same) (len $other)) -}}
{{- if and (ge (mul 2 $same) (int64 (len $key))) (gt $score $best) -}}
{{- $nearest = $name -}}
{{- $best = $score -}}
{{- end -}}
{{- end -}}
{{- $nearest -}}
{{- end }}

{{/*
The flags of a half that values give, the last of a kind only. In: root, half, extra (list of {key, args} for this half
alone). Out, as JSON: what is read of them, in "flags".
*/}}
{{- define "tributary.givenArgs" -}}
{{- $root := .root -}}
{{- $component := .half -}}
{{- $both := list "frontend" "scraper" -}}
{{- $sources := list (dict "key" "defaultArgs" "args" $root.Values.defaultArgs "components" $both) (dict "key" "args" "args" $root.Values.args "components" $both) -}}
{{- range .extra -}}
{{- $sources = append $sources (dict "key" .key "args" .args "components" (list $component)) -}}
{{- end -}}
{{- $given := list -}}
{{- range $source := $sources -}}
{{- $read := include "tributary.readArgs" (merge (dict "root" $root) $source) | fromJson -}}
{{- range $flag := index $read $component -}}
{{- $kept := list -}}
{{- range $given -}}
{{- if or (ne .name $flag.name) (eq .kind "many") -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- $given = append $kept $flag -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "flags" $given) -}}
{{- end }}

{{/* How often nodes are scraped, by the values for all scrapers, in milliseconds. In: the root. */}}
{{- define "tributary.resolution" -}}
{{- $extra := list (dict "key" "scraper.args" "args" .Values.scraper.args) -}}
{{- $given := include "tributary.givenArgs" (dict "root" . "half" "scraper" "extra" $extra) | fromJson -}}
{{- $resolution := "60s" -}}
{{- range $given.flags -}}
{{- if eq .name "metric-resolution" -}}{{- $resolution = trimPrefix "--metric-resolution=" .text -}}{{- end -}}
{{- end -}}
{{- include "tributary.amount" $resolution -}}
{{- end }}

{{/*
Fails if the binary would refuse flags that do not fit together. In: root, flags.
*/}}
{{- define "tributary.checkTogether" -}}
{{- $checks := .root.Files.Get "files/checks.yaml" | fromYaml -}}
{{- $values := dict -}}
{{- $keys := dict -}}
{{- range .flags -}}
{{- if not (hasSuffix "=false" .text) -}}
{{- $_ := set $values .name (regexReplaceAll "^[^=]*=?" .text "") -}}
{{- $_ := set $keys .name .key -}}
{{- end -}}
{{- end -}}
{{- range $pair := $checks.exclusive -}}
{{- $one := first $pair -}}
{{- $other := last $pair -}}
{{- if and (hasKey $values $one) (hasKey $values $other) -}}
{{- fail (printf "%s: cannot use both --%s and --%s" (get $keys $other) $one $other) -}}
{{- end -}}
{{- end -}}
{{- range $pair := $checks.needs -}}
{{- $one := first $pair -}}
{{- $other := last $pair -}}
{{- if and (hasKey $values $one) (not (hasKey $values $other)) -}}
{{- fail (printf "%s: --%s needs --%s" (get $keys $one) $one $other) -}}
{{- end -}}
{{- end -}}
{{- $times := dict -}}
{{- range $name, $default := $checks.times -}}
{{- $_ := set $times $name (include "tributary.amount" (default $default (get $values $name)) | float64) -}}
{{- end -}}
{{- if gt (get $times "kubelet-request-timeout") (mulf 0.9 (get $times "metric-resolution")) -}}
{{- $name := ternary "metric-resolution" "kubelet-request-timeout" (hasKey $values "metric-resolution") -}}
{{- fail (printf "%s: --%s=%s: --kubelet-request-timeout, by default 10s, should be at most nine tenths of --metric-resolution" (default "args" (get $keys $name)) $name (get $values $name)) -}}
{{- end -}}
{{- if gt (get $times "fast-resolution") (get $times "metric-resolution") -}}
{{- fail (printf "%s: --fast-resolution=%s: should be at most --metric-resolution, or 0s" (get $keys "fast-resolution") (get $values "fast-resolution")) -}}
{{- end -}}
{{- if gt (mulf 12.0 (get $times "tls-auto-overlap")) (get $times "tls-auto-validity") -}}
{{- fail (printf "%s: --tls-auto-validity should be at least twelve times --tls-auto-overlap, by default 1h" (default (get $keys "tls-auto-overlap") (get $keys "tls-auto-validity"))) -}}
{{- end -}}
{{- end }}

{{/*
The flags of a half. In: root, half, own (those the chart sets), extra (list of {key, args} for this half alone).
*/}}
{{- define "tributary.args" -}}
{{- $given := include "tributary.givenArgs" . | fromJson -}}
{{- include "tributary.checkTogether" (dict "root" .root "flags" $given.flags) -}}
{{- $selector := default "" .selector -}}
{{- $lines := .own -}}
{{- range $given.flags -}}
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
