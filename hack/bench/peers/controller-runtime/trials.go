package main

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

type assignment struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

type metric struct {
	Name   string `json:"name,omitempty"`
	Min    string `json:"min,omitempty"`
	Max    string `json:"max,omitempty"`
	Latest string `json:"latest,omitempty"`
}

// Trial has the fields of the kind's type in Katib; the job inside it is unstructured there, too.
type Trial struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Objective *struct {
			Type                string   `json:"type,omitempty"`
			Goal                *float64 `json:"goal,omitempty"`
			ObjectiveMetricName string   `json:"objectiveMetricName,omitempty"`
			MetricStrategies    []struct {
				Name  string `json:"name,omitempty"`
				Value string `json:"value,omitempty"`
			} `json:"metricStrategies,omitempty"`
		} `json:"objective,omitempty"`
		ParameterAssignments []assignment               `json:"parameterAssignments"`
		RunSpec              *unstructured.Unstructured `json:"runSpec,omitempty"`
		MetricsCollector     struct {
			Collector *struct {
				Kind string `json:"kind,omitempty"`
			} `json:"collector,omitempty"`
		} `json:"metricsCollector,omitempty"`
		PrimaryPodLabels     map[string]string `json:"primaryPodLabels,omitempty"`
		PrimaryContainerName string            `json:"primaryContainerName,omitempty"`
		SuccessCondition     string            `json:"successCondition,omitempty"`
		FailureCondition     string            `json:"failureCondition,omitempty"`
	} `json:"spec,omitempty"`
	Status struct {
		StartTime      *metav1.Time `json:"startTime,omitempty"`
		CompletionTime *metav1.Time `json:"completionTime,omitempty"`
		Conditions     []struct {
			Type               string      `json:"type"`
			Status             string      `json:"status"`
			Reason             string      `json:"reason,omitempty"`
			Message            string      `json:"message,omitempty"`
			LastUpdateTime     metav1.Time `json:"lastUpdateTime,omitempty"`
			LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
		} `json:"conditions,omitempty"`
		Observation *struct {
			Metrics []metric `json:"metrics"`
		} `json:"observation,omitempty"`
	} `json:"status,omitempty"`
}

// DeepCopyObject is shallow: nothing here changes what the cache holds.
func (t *Trial) DeepCopyObject() kruntime.Object {
	copied := *t
	return &copied
}

// TrialList is what a list of them is.
type TrialList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Trial `json:"items"`
}

// DeepCopyObject is shallow, as a Trial's.
func (l *TrialList) DeepCopyObject() kruntime.Object {
	copied := *l
	return &copied
}

// trials follows every Trial and, once the first list is whole, writes what it took as JSON.
func trials(arguments []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	scheme, group := kruntime.NewScheme(), schema.GroupVersion{Group: "kubeflow.org", Version: "v1beta1"}
	scheme.AddKnownTypes(group, &Trial{}, &TrialList{})
	metav1.AddToGroupVersion(scheme, group)
	// managedFields are dropped, as controller-runtime's documentation advises for large caches
	found, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	began := time.Now()
	if _, err := found.GetInformer(ctx, &Trial{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	go measure(ctx, found, began, arguments[1])
	return found.Start(ctx)
}

func measure(ctx context.Context, found cache.Cache, began time.Time, result string) {
	if !found.WaitForCacheSync(ctx) {
		return
	}
	synced := time.Since(began).Seconds()
	list := &TrialList{}
	if err := found.List(ctx, list); err != nil {
		panic(err)
	}
	count := len(list.Items)
	list = nil
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	pause := time.Duration(stats.PauseNs[(stats.NumGC+255)%256])
	text, err := json.Marshal(map[string]float64{
		"objects": float64(count), "sync s": synced, "GC ms": float64(pause.Microseconds()) / 1000,
	})
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(result+".new", text, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(result+".new", result); err != nil {
		panic(err)
	}
}
