output "address" {
  description = "The edge's public address: for public_addresses in edge.toml, the glue and the PTR record."
  value       = aws_eip.edge.public_ip
}

output "glue" {
  description = "Name servers to enter at the registrar, below your domain, both with this address."
  value       = { for label in ["ns1", "ns2"] : label => aws_eip.edge.public_ip }
}

output "join" {
  description = "What to run on the machine at home once postern-edge runs on the new one."
  value       = var.home_identity == "" ? "postern-home join" : "postern-home join --edge ${aws_eip.edge.public_ip}:${var.tunnel_port}"
}
