"""The engine on a Kubernetes cluster: TensorFlow Serving Deployments behind an ingress or a Gateway."""
