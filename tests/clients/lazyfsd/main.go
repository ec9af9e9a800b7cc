// lazyfsd: the smallest daemon that offers Debian's packaged stargz-snapshotter
// library to containerd as a proxy snapshotter. Debian's stargz-snapshotter
// package ships only ctr-remote, so the tests link this against
// golang-github-containerd-stargz-snapshotter-dev (GOPATH mode, no download).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	snapapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/stargz-snapshotter/service"
	"github.com/containerd/stargz-snapshotter/service/resolver"
	"github.com/pelletier/go-toml"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
)

func die(what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "lazyfsd:", what+":", err)
		os.Exit(1)
	}
}

func main() {
	sock := flag.String("socket", "", "unix socket to serve the snapshots API on")
	root := flag.String("root", "", "state directory")
	conf := flag.String("config", "", "TOML file: stargz settings plus [resolver.host]")
	certs := flag.String("certs-d", "", "hosts.toml root; replaces [resolver.host]")
	level := flag.String("log-level", "info", "log level")
	flag.Parse()
	if *sock == "" || *root == "" {
		die("flags", fmt.Errorf("-socket and -root are needed"))
	}
	lv, err := logrus.ParseLevel(*level)
	die("log level", err)
	logrus.SetLevel(lv)

	var cfg service.Config
	if *conf != "" {
		tree, err := toml.LoadFile(*conf)
		die("config", err)
		die("config", tree.Unmarshal(&cfg))
	}
	die("root", os.MkdirAll(*root, 0o700))
	die("overlay support", service.Supported(*root))

	ctx := context.Background()
	var opts []service.Option
	if *certs != "" {
		hosts := resolver.RegistryHostsFromCRIConfig(ctx, resolver.Registry{ConfigPath: *certs})
		opts = append(opts, service.WithCustomRegistryHosts(hosts))
	}
	sn, err := service.NewStargzSnapshotterService(ctx, *root, &cfg, opts...)
	die("snapshotter", err)

	_ = os.Remove(*sock)
	lis, err := net.Listen("unix", *sock)
	die("listen", err)
	srv := grpc.NewServer()
	snapapi.RegisterSnapshotsServer(srv, snapshotservice.FromSnapshotter(sn))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		sn.Close() // unmounts every FUSE layer
		srv.Stop()
	}()
	die("serve", srv.Serve(lis))
}
