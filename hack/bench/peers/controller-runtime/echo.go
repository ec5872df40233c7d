package main

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

var group = schema.GroupVersion{Group: "bench.example.org", Version: "v1"}

// Echo is the benchmark's kind.
type Echo struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Text string `json:"text,omitempty"`
	} `json:"spec"`
	Status struct {
		Done bool `json:"done,omitempty"`
	} `json:"status"`
}

func (e *Echo) DeepCopyObject() runtime.Object {
	copied := *e
	e.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	return &copied
}

// EchoList is what a list of them is.
type EchoList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Echo `json:"items"`
}

func (l *EchoList) DeepCopyObject() runtime.Object {
	copied := *l
	l.ListMeta.DeepCopyInto(&copied.ListMeta)
	copied.Items = make([]Echo, len(l.Items))
	for i := range l.Items {
		copied.Items[i] = *l.Items[i].DeepCopyObject().(*Echo)
	}
	return &copied
}

func echo(arguments []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	config.QPS = -1 // as controller-runtime's own way to a config has it: the server limits, not the client
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	scheme.AddKnownTypes(group, &Echo{}, &EchoList{})
	metav1.AddToGroupVersion(scheme, group)
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	workers, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).For(&Echo{}).Owns(&corev1.ConfigMap{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

type reconciler struct{ client client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := &Echo{}
	if err := r.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if object.Status.Done {
		return ctrl.Result{}, nil
	}
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: request.Name, Namespace: request.Namespace,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(object, group.WithKind("Echo"))},
		},
		Data: map[string]string{"text": object.Spec.Text},
	}
	if err := r.client.Create(ctx, configMap); client.IgnoreAlreadyExists(err) != nil {
		return ctrl.Result{}, err
	}
	before := object.DeepCopyObject().(*Echo)
	object.Status.Done = true
	return ctrl.Result{}, r.client.Status().Patch(ctx, object, client.MergeFrom(before))
}
