//! Every trouble that `doctor` knows: the only place where one is described. From here come the codes of the findings, what
//! they print, and docs/troubles/README.md. A code keeps its meaning for ever; codes of troubles that no longer exist are not
//! used again.
//!
//! Names in braces in a command (`{namespace}`) are replaced by what a check found. `{-n namespace}` becomes `-n VALUE`, or `-A`
//! where a check found that it is about the whole cluster. A command is left out where a check did not find a value. What is
//! said of a command is in the remedy: behind the command it would be copied, too.

mod written;

use serde::Serialize;

pub use self::written::{EVERYWHERE, PAGE, page, whole};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Metrics are missing.
    Error,
    /// Metrics will be missing, or something is not as it should be.
    Warning,
}

/// A trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Stable: what people search for.
    pub code: &'static str,
    /// A word, the same as the variant of [`Code`].
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is wrong, as a sentence without its end.
    pub title: &'static str,
    /// Why it matters.
    pub matters: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// To copy.
    pub commands: &'static [&'static str],
}

macro_rules! troubles {
    ($($code:ident $name:ident $level:ident {
        $title:literal
        matters $matters:literal
        remedy $remedy:literal
        $(run $command:literal)*
    })*) => {
        /// The codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What is written about it.
            #[must_use]
            pub const fn trouble(self) -> &'static Trouble {
                match self {
                    $(Self::$name => &Trouble {
                        code: stringify!($code),
                        name: stringify!($name),
                        level: Level::$level,
                        title: $title,
                        matters: $matters,
                        remedy: $remedy,
                        commands: &[$($command),*],
                    },)*
                }
            }
        }
    };
}

troubles! {
    TRB001 AggregationLayerOff Error {
        "kube-apiserver has no front proxy, so it cannot ask other API servers"
        matters "Every request to metrics.k8s.io fails, whatever serves it: no kubectl top, no autoscaling on CPU and memory."
        remedy "Give kube-apiserver the flags of the aggregation layer. Distributions set them; control planes made by hand often lack them: --requestheader-client-ca-file, --requestheader-allowed-names, --requestheader-username-headers, --requestheader-group-headers, --requestheader-extra-headers-prefix, --proxy-client-cert-file, --proxy-client-key-file. If kube-apiserver runs on hosts without kube-proxy, also --enable-aggregator-routing=true."
        run "kubectl -n kube-system get configmap extension-apiserver-authentication -o jsonpath='{{.data}}'"
    }
    TRB002 ApiServiceMissing Error {
        "no server is registered for metrics.k8s.io"
        matters "kubectl top answers \"Metrics API not available\", and autoscalers cannot read CPU and memory."
        remedy "Install Tributary with its APIServices. If it is installed, they were left out (apiService.create) or deleted; the uninstallation of metrics-server deletes the one that both use."
        run "kubectl get apiservice v1beta1.metrics.k8s.io v1.metrics.k8s.io"
        run "helm upgrade tributary deploy/helm/tributary -n {namespace} --reset-then-reuse-values --set apiService.create=true --take-ownership"
    }
    TRB003 AnotherServer Error {
        "another server answers for metrics.k8s.io, although Tributary is installed"
        matters "kubectl and autoscalers use the metrics of the other server. Whatever Tributary does has no effect on them."
        remedy "If you have not switched yet, go on with docs/MIGRATING.md#over. If you have, something writes the old APIService back (an add-on manager, GitOps, k3s): switch status names it, and docs/MIGRATING.md#where-metrics-server-comes-from says how to stop it. On GKE, AKS and OpenShift leave v1beta1 to the platform."
        run "kubectl get apiservice {apiservice} -o yaml"
        run "kubectl tributary switch status"
        run "kubectl tributary switch to"
    }
    TRB004 ServiceMissing Error {
        "the Service to which the APIService leads does not exist"
        matters "kube-apiserver has no address to ask, so every request to metrics.k8s.io fails with 503. Until the APIService is gone or works, namespaces stay Terminating when they are deleted."
        remedy "The server was removed, or is in another namespace. Install it again, correct spec.service, or delete the APIService if it is not needed."
        run "kubectl get apiservice {apiservice} -o jsonpath='{{.spec.service}}'"
        run "kubectl get service -A -l app.kubernetes.io/name=tributary"
    }
    TRB005 ServiceWithoutEndpoints Error {
        "the Service has no endpoint that is ready"
        matters "kube-apiserver has no pod to ask, so every request to metrics.k8s.io fails with 503."
        remedy "Look at the pods: TRB020 says why they are not ready. If there are ready pods, the selector of the Service does not match their labels."
        run "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service}"
        run "kubectl -n {namespace} get pods --show-labels"
        run "kubectl -n {namespace} get service {service} -o jsonpath='{{.spec.selector}}'"
    }
    TRB006 ServicePort Error {
        "the Service does not have the port that the APIService names"
        matters "kube-apiserver has no port to ask, so every request to metrics.k8s.io fails with 503."
        remedy "Make spec.service.port of the APIService a port of the Service."
        run "kubectl -n {namespace} get service {service} -o jsonpath='{{.spec.ports}}'"
    }
    TRB007 NoRoute Error {
        "kube-apiserver does not reach the server"
        matters "The pods may be healthy, and still every request to metrics.k8s.io fails with 503, because the connection from the control plane to the pods fails."
        remedy "The request goes from the host of kube-apiserver to the port of the pods (10250). Check, in this order: a firewall or security group between the control plane and the nodes (managed clusters open 443 and 10250 only); whether the control plane runs kube-proxy and a network plug-in, otherwise --enable-aggregator-routing=true on kube-apiserver and a route to the pods, or hostNetwork.enabled=true in the chart; HTTPS_PROXY in the environment of kube-apiserver, to whose NO_PROXY the ranges of Services and pods belong; NetworkPolicies in the namespace. The last command must print \"ok\" on the host of kube-apiserver."
        run "kubectl get apiservice {apiservice} -o jsonpath='{{.status.conditions}}'"
        run "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service}"
        run "curl -k --max-time 5 https://{endpoint}/livez"
    }
    TRB008 CertificateNotTrusted Error {
        "kube-apiserver does not trust the certificate of the server"
        matters "kube-apiserver refuses the connection, so every request to metrics.k8s.io fails with 503. If caBundle is not PEM, every request fails with 500 instead, and the APIService goes on to say what it said before."
        remedy "caBundle of the APIService must have the CA of the serving certificate, and the certificate must be for SERVICE.NAMESPACE.svc. With tls.type=auto frontends repair this within seconds: their log says why they cannot. With cert-manager look at its Certificate; otherwise set caBundle again (docs/RUNBOOK.md#symptoms, number 16). The first command ends with an error of openssl if caBundle is not PEM."
        run "kubectl get apiservice {apiservice} -o jsonpath='{{.spec.caBundle}}' | base64 -d | openssl x509 -noout -subject -dates"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/component=frontend -c frontend --tail=-1 | grep -i certificate"
    }
    TRB009 ServerRefuses Error {
        "the server answers kube-apiserver with an error"
        matters "As long as the discovery of the server fails, kube-apiserver sends it no request, and metrics.k8s.io answers 503."
        remedy "401, 403 or \"remote error: tls\": the server does not accept the front proxy. Compare requestheader-client-ca-file and requestheader-allowed-names in the ConfigMap with the certificate that kube-apiserver uses (--proxy-client-cert-file). 404: something else than a metrics server answers. 5xx: the log of the server has the reason."
        run "kubectl -n kube-system get configmap extension-apiserver-authentication -o yaml"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/component=frontend -c frontend --tail=50"
    }
    TRB010 ApiServiceUnavailable Error {
        "the APIService is not available"
        matters "Requests to its API group fail with 503, and namespaces stay Terminating when they are deleted."
        remedy "The condition of the APIService has the reason."
        run "kubectl describe apiservice {apiservice}"
    }
    TRB020 FrontendsNotReady Error {
        "pods or endpoints of the metrics server are not ready"
        matters "Pods that are not ready get no requests. If none is ready, there are no metrics at all."
        remedy "A frontend becomes ready when half of the nodes have metrics and nine tenths are known: see the findings about nodes first. Otherwise the pod does not start: its events and its log have the reason. Exit code 2 means that a flag cannot work."
        run "kubectl -n {namespace} describe pod {pod}"
        run "kubectl -n {namespace} logs {pod} --all-containers --tail=50"
        run "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service} -o yaml"
    }
    TRB021 ScrapersNotReady Error {
        "scrapers are not ready"
        matters "Other scrapers take over the nodes. If there is none, the metrics expire after three resolutions."
        remedy "The events and the log of the pod have the reason. Exit code 2 means that a flag cannot work."
        run "kubectl -n {namespace} describe pod {pod}"
        run "kubectl -n {namespace} logs {pod} --all-containers --tail=50"
    }
    TRB022 PodsRefused Error {
        "Kubernetes does not let a Deployment create its pods"
        matters "The component runs with fewer pods than you asked for, or with none."
        remedy "A quota, the pod security standard of the namespace, or an admission webhook refuses the pods. The message names it. In a namespace other than kube-system, system-cluster-critical needs a ResourceQuota that allows it; the chart creates one."
        run "kubectl -n {namespace} describe deployment,replicaset"
        run "kubectl -n {namespace} get resourcequota,limitrange"
    }
    TRB023 NoScraperConnected Error {
        "no scraper is connected to the frontend"
        matters "The frontend gets no samples. Those that it has expire after three resolutions. Then no node has metrics, frontends are no longer ready (TRB020), and their Service has no endpoint (TRB005)."
        remedy "If no scraper runs, its pods and its Deployment say why: see TRB021 and TRB022, or it has no replicas. If they run, their log says \"failed to keep a stream to the frontend\" and why: no permission to publish (TRB031), a certificate that is not trusted, no address (the headless Service), or a NetworkPolicy between them."
        run "kubectl -n {namespace} get deployments,pods -l app.kubernetes.io/component=scraper"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/name=tributary --all-containers --prefix --tail=-1 | grep 'keep a stream'"
        run "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service}-bus"
    }
    TRB024 LeaseNotRenewed Warning {
        "scrapers do not renew their Leases"
        matters "Scrapers find each other by Leases. If a scraper does not renew its Lease, others scrape its nodes as well. If no Lease of a group is renewed, the group is gone, or its scrapers cannot write."
        remedy "The log of the scraper says \"failed to renew the Lease\" and why: usually RBAC (TRB031) or a kube-apiserver that is overloaded. The last command deletes a Lease: only if an installation left it behind. Nodes without metrics are then TRB048."
        run "kubectl -n {namespace} get leases -l tributary.dev/group"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/name=tributary --all-containers --prefix --tail=-1 | grep Lease"
        run "kubectl -n {namespace} delete lease {lease}"
    }
    TRB025 VersionSkew Warning {
        "frontends and scrapers are of versions that do not fit"
        matters "A frontend understands scrapers of its own version and of the one before. Others may be refused."
        remedy "Upgrade frontends first, then scrapers. During a rollout this finding goes away by itself."
        run "kubectl get metricsfrontends,scrapers"
    }
    TRB026 KubernetesTooOld Warning {
        "this version of Kubernetes is older than those that are supported"
        matters "Tributary is for Kubernetes 1.27 and later. On older ones parts may not work."
        remedy "Upgrade Kubernetes."
        run "kubectl version"
    }
    TRB027 ScraperLost Warning {
        "a scraper is gone, and others scrape its nodes"
        matters "The other scrapers have more to do. Metrics of nodes that they have not taken over yet expire after three resolutions, and all if these scrapers are lost, too. With fixed shards its nodes have no owner until it is back."
        remedy "The evidence names the scraper, and says whether its Lease is renewed and its stream is open. Look at its pod: the node under it may be gone, or it may not start (TRB021). A pod with a new name takes over at once, and the Lease of the old one is deleted within three minutes. If the scraper runs, it reaches neither kube-apiserver nor the frontends: its log says why. A process that hangs keeps its stream for up to 45 seconds."
        run "kubectl -n {namespace} get pods -o wide -l app.kubernetes.io/component=scraper"
        run "kubectl -n {namespace} get leases -l tributary.dev/group"
        run "kubectl -n {namespace} logs {scraper} -c scraper --tail=50"
    }
    TRB030 FrontendPermission Error {
        "the account of the frontends lacks permissions"
        matters "Without the lists of nodes and pods a frontend answers 503. Without reviews and the ConfigMap of the front proxy it cannot authenticate callers. With --tls-auto it must write its certificate."
        remedy "Install the roles again, or grant what deploy/README.md#permissions lists."
        run "kubectl auth can-i {verb} {resource} {-n resource_namespace} --as=system:serviceaccount:{account}"
        run "helm upgrade tributary deploy/helm/tributary -n {namespace} --reset-then-reuse-values --set rbac.create=true"
    }
    TRB031 ScraperPermission Error {
        "the account of the scrapers lacks permissions"
        matters "Without nodes there is nothing to scrape; without samplestreams frontends refuse the samples; without leases and endpointslices scrapers do not find each other and the frontends; without events in the namespace default a node that is not scraped has no Event."
        remedy "Install the roles again, or grant what deploy/README.md#permissions lists."
        run "kubectl auth can-i {verb} {resource} {-n resource_namespace} --as=system:serviceaccount:{account}"
        run "helm upgrade tributary deploy/helm/tributary -n {namespace} --reset-then-reuse-values --set rbac.create=true"
    }
    TRB032 KubeletReaderPermission Error {
        "the account whose tokens kubelets see may not read their metrics"
        matters "Every kubelet answers 403, so no node has metrics."
        remedy "The account needs get on nodes/metrics, by a ClusterRole and a ClusterRoleBinding."
        run "kubectl auth can-i get nodes --subresource=metrics -A --as=system:serviceaccount:{account}"
        run "kubectl create clusterrolebinding tributary-kubelet-reader --clusterrole=system:tributary-kubelet-reader --serviceaccount={account}"
    }
    TRB040 KubeletUnreachable Error {
        "no connection to the port of the kubelet"
        matters "These nodes and their pods have no metrics."
        remedy "The node is down, its address or port is wrong (--kubelet-preferred-address-types, --kubelet-use-node-status-port), or a NetworkPolicy, firewall or security group drops the packets. Open port 10250 from the scrapers to the nodes. The last command asks through kube-apiserver instead."
        run "kubectl get node {node} -o wide"
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | head"
    }
    TRB041 KubeletTimeout Error {
        "the kubelet does not answer in time"
        matters "These nodes and their pods have no metrics."
        remedy "The node is overloaded, or packets are lost on the way: an MTU that is too large is a common cause. If kube-apiserver gets the page soon, the network of the scraper is the cause."
        run "time kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | wc"
    }
    TRB042 KubeletCertificate Error {
        "the certificate of the kubelet cannot be verified"
        matters "These nodes and their pods have no metrics. Most kubelets sign their own certificate, so this is what new clusters meet most often."
        remedy "Best: let the cluster sign it. Set serverTLSBootstrap: true in the configuration of the kubelet (Talos: rotate-server-certificates), restart it, and approve the requests. Or give scrapers the CA (--kubelet-certificate-authority). docs/PLATFORMS.md#kubelet-certificates covers each distribution. --kubelet-insecure-tls for one group of nodes is the last resort."
        run "kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving"
        run "kubectl get node {node} -o wide"
        run "openssl s_client -connect {address}:{port} </dev/null 2>/dev/null | openssl x509 -noout -issuer -subject -ext subjectAltName"
    }
    TRB043 KubeletAccess Error {
        "the kubelet does not accept the token of the scraper"
        matters "These nodes and their pods have no metrics."
        remedy "Either the account lacks get on nodes/metrics (TRB032), or the kubelet does not ask kube-apiserver: it needs authentication.webhook.enabled: true and authorization.mode: Webhook in its configuration."
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/configz | grep -o '\"authentication\".*\"authorization\"[^}}]*}}'"
    }
    TRB044 KubeletAnswer Error {
        "the kubelet answers with an error"
        matters "These nodes and their pods have no metrics."
        remedy "The message has the status. 404: the kubelet has no endpoint with metrics. 5xx: the log of the kubelet on the node (journalctl -u kubelet) has the reason."
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | head"
    }
    TRB045 KubeletPage Error {
        "the kubelet reports nothing that can be used"
        matters "These nodes and their pods have no metrics, although the kubelet answers."
        remedy "Often the container runtime reports no statistics, or does not fit the version of cgroups: compare the versions of runtime and operating system, and look at the log of the kubelet."
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | grep ^node_"
        run "kubectl get node {node} -o wide"
    }
    TRB046 KubeletPageSize Error {
        "the page of the kubelet is too long"
        matters "These nodes and their pods have no metrics. The limit keeps one node from costing the others."
        remedy "The message says which limit. If it names --kubelet-max-page-size (4 MiB by default) and the page is right, raise that flag of the scrapers. The other limits have no flag: 20,000 containers, 80,000 lines about containers and 1 MiB of names on a page, 8 KiB of headers, and one message on the bus. There, remove what creates the containers, usually something that creates pods without end, or the proxy that adds headers."
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | wc"
        run "kubectl get pods -A --field-selector spec.nodeName={node} | wc -l"
    }
    TRB047 KubeletStale Error {
        "the kubelet reports the same numbers again and again"
        matters "Old numbers would mislead autoscalers, so these nodes and their pods have no metrics."
        remedy "Run the command twice, 11 minutes apart. If the time in the last column differs, the kubelet is slow: wait for two measurements and restart nothing. If it is the same, the kubelet has stopped: look at the container runtime (crictl stats), then restart the kubelet. docs/FLEET.md#kubeletstale says more."
        run "kubectl get --raw /api/v1/nodes/{node}/proxy/metrics/resource | grep ^node_cpu"
    }
    TRB048 NoScraper Error {
        "no connected scraper selects these nodes"
        matters "These nodes and their pods have no metrics."
        remedy "If there is a group of scrapers for these nodes, it is gone, or does not reach the frontends: see TRB021, TRB023 and TRB024. Otherwise add a group of scrapers whose selector matches the nodes (scraper.groups), or correct a selector. If the nodes need no metrics, exclude them in frontends, too, with the same --node-selector."
        run "kubectl get node {node} --show-labels"
        run "kubectl get scrapers"
        run "kubectl get leases -A -l tributary.dev/group"
    }
    TRB049 NodeAddress Error {
        "the Node has no address that scrapers may use"
        matters "These nodes and their pods have no metrics."
        remedy "Add a type of address that the nodes have to --kubelet-preferred-address-types. Nodes of a cloud provider have no address until its controller has set one. If the port in its status is below 1024, set --kubelet-use-node-status-port=false. If its annotation metrics.k8s.io/resource-metrics-path is not a path, correct or remove it."
        run "kubectl get node {node} -o jsonpath='{{.status.addresses}}'"
    }
    TRB050 ScraperSilent Error {
        "the owner of the node sends neither samples nor failures"
        matters "These nodes and their pods have no metrics, and the reason is not known."
        remedy "The evidence names the scraper, its Lease and its pod. Its log has the reason. If you delete its pod, other scrapers own its nodes; with one replica the new pod does."
        run "kubectl get nodescrape {node} -o yaml"
        run "kubectl -n {namespace} logs {owner} -c scraper --tail=50"
    }
    TRB051 FrontendLimit Error {
        "the frontend refuses the samples of the node"
        matters "These nodes and their pods have no metrics. The limits keep one node from costing the others."
        remedy "The message names the limit; docs/decisions/0019-budget-of-a-node.md#frontends has them all. Usually something creates pods on that node without end."
        run "kubectl get nodescrape {node} -o jsonpath='{{.status.message}}'"
    }
    TRB052 NodesWithoutMetrics Error {
        "nodes have no metrics"
        matters "Autoscalers and kubectl top see neither these nodes nor their pods."
        remedy "The log of the metrics server names the nodes that it cannot scrape. Tributary says it for each node."
        run "kubectl -n {namespace} logs -l k8s-app=metrics-server --tail=100 | grep -i 'failed to scrape'"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/name=metrics-server --tail=100 | grep -i 'failed to scrape'"
    }
    TRB053 MetricsOld Warning {
        "nodes have old metrics"
        matters "Autoscalers act on what was, and react late."
        remedy "If the time since the scrape is long, the scraper lacks CPU or cannot send. If it is short, the kubelet measures seldom (--housekeeping-interval)."
        run "kubectl get nodescrapes"
    }
    TRB054 ClockAhead Warning {
        "the clock of nodes is ahead of that of the frontends"
        matters "Samples seem to be from the future, so their age is not known, and kubectl top and autoscalers may take them for wrong."
        remedy "Set the clock of the node by NTP."
        run "kubectl get nodescrape {node} -o yaml"
    }
    TRB055 KubeletCsrPending Warning {
        "certificate requests of kubelets are waiting"
        matters "Until it is approved, the kubelet shows a certificate of its own, or none, and scrapers refuse it."
        remedy "Kubernetes never approves these requests by itself. Check that names and addresses are those of the node, then approve; or install an approver that checks them."
        run "kubectl describe csr {csr}"
        run "kubectl certificate approve {csr}"
    }
    TRB060 CertificateExpires Warning {
        "the serving certificate of a frontend expires soon, or has expired"
        matters "After that date kube-apiserver and scrapers refuse the frontend, and there are no metrics at all."
        remedy "With tls.type=auto, and without Helm, frontends renew it: the first command asks them to do so, and their log says why they do not. With Helm upgrade the release. With cert-manager look at its Certificate. Otherwise replace the Secret."
        run "kubectl -n {namespace} annotate secret tributary-serving tributary.dev/renew=now"
        run "kubectl -n {namespace} logs -l app.kubernetes.io/component=frontend -c frontend --tail=-1 | grep -i certificate"
    }
    TRB061 CaExpires Warning {
        "a CA by which kube-apiserver trusts the server expires soon, or has expired"
        matters "After that date kube-apiserver refuses the server, and there are no metrics at all."
        remedy "With tls.type=auto frontends replace it: their log says why they do not. With Helm upgrade the release. Otherwise make a new CA and a certificate of it, and keep both CAs in caBundle during the change."
        run "kubectl get apiservice {apiservice} -o jsonpath='{{.spec.caBundle}}' | base64 -d | openssl x509 -noout -subject -dates"
    }
    TRB070 HpaWithoutRequests Error {
        "pods of an autoscaler have containers without requests"
        matters "The autoscaler aims at a part of the request. If one container lacks it, it computes nothing at all, and does not scale."
        remedy "Set the request in the template of the workload, also for sidecars that something injects. Or let the autoscaler look at one container (type: ContainerResource), or aim at an absolute value (averageValue). In the last command put a value that fits instead of 100m."
        run "kubectl -n {namespace} describe hpa {hpa}"
        run "kubectl -n {namespace} set resources {target} -c {container} --requests={resource}=100m"
    }
}
