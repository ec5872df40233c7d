// What hack/bench measures of controller-runtime, and the load that it puts on admission servers.
//
//	peer echo KUBECONFIG WORKERS
//	peer admission PORT CERTDIR
//	peer trials KUBECONFIG RESULT
//	peer load URL CAFILE BODYFILE EXPECTED CONNECTIONS SECONDS
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	ctrl.SetLogger(zap.New())
	commands := map[string]func([]string) error{"echo": echo, "admission": serve, "load": load, "trials": trials}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
