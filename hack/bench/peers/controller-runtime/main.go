// The echo operator and the admission webhook of hack/bench, on controller-runtime.
//
//	peer echo KUBECONFIG WORKERS
//	peer admission PORT CERTDIR
package main

import (
	"context"
	"net/http"
	"os"
	"strconv"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var echoKind = schema.GroupVersionKind{Group: "bench.example.org", Version: "v1", Kind: "Echo"}

func main() {
	ctrl.SetLogger(zap.New())
	var err error
	if os.Args[1] == "echo" {
		err = echo(os.Args[2], os.Args[3])
	} else {
		err = serve(os.Args[2], os.Args[3])
	}
	if err != nil {
		panic(err)
	}
}

func echo(kubeconfig, workers string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // as controller-runtime's own way to a config has it: the server limits, not the client
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(workers)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(echoKind)
	err = ctrl.NewControllerManagedBy(manager).For(object).Owns(&corev1.ConfigMap{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: count}).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

type reconciler struct{ client client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(echoKind)
	if err := r.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if done, _, _ := unstructured.NestedBool(object.Object, "status", "done"); done {
		return ctrl.Result{}, nil
	}
	text, _, _ := unstructured.NestedString(object.Object, "spec", "text")
	yes := true
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: request.Name, Namespace: request.Namespace,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "bench.example.org/v1", Kind: "Echo", Name: request.Name, UID: object.GetUID(),
				Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Data: map[string]string{"text": text},
	}
	if err := r.client.Create(ctx, configMap); client.IgnoreAlreadyExists(err) != nil {
		return ctrl.Result{}, err
	}
	before := object.DeepCopy()
	if err := unstructured.SetNestedField(object.Object, true, "status", "done"); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.client.Status().Patch(ctx, object, client.MergeFrom(before))
}

type labeller struct{}

func (labeller) Handle(_ context.Context, _ admission.Request) admission.Response {
	return admission.Patched("", jsonpatch.NewOperation("add", "/metadata/labels/touched", "yes"))
}

func serve(port, certDir string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	hooks := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: number, CertDir: certDir})
	hooks.Register("/mutate-pod", &admission.Webhook{Handler: labeller{}})
	hooks.Register("/healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	return hooks.Start(ctrl.SetupSignalHandler())
}
