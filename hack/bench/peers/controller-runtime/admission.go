package main

import (
	"context"
	"strconv"

	"gomodules.xyz/jsonpatch/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type labeller struct{}

func (labeller) Handle(_ context.Context, _ admission.Request) admission.Response {
	return admission.Patched("", jsonpatch.NewOperation("add", "/metadata/labels/touched", "yes"))
}

func serve(arguments []string) error {
	port, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	hooks := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: arguments[1]})
	for _, path := range []string{"/mutate-pod", "/mutate-experiment", "/validate-experiment"} {
		hooks.Register(path, &admission.Webhook{Handler: labeller{}})
	}
	return hooks.Start(ctrl.SetupSignalHandler())
}
