// Command controlplane is a whole Kubernetes control plane in one binary: etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler, chosen by its first argument.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	const parts = "etcd, kube-apiserver, kube-controller-manager or kube-scheduler"
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: controlplane PART FLAGS, where PART is "+parts)
		os.Exit(2)
	}
	part := os.Args[1]
	os.Args = os.Args[1:]
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	default:
		fmt.Fprintf(os.Stderr, "controlplane has no part %q: choose %s\n", part, parts)
		os.Exit(2)
	}
}
