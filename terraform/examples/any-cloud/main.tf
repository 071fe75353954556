# The user data of an edge on any cloud that knows cloud-init: paste the output into the provider's field, or give it to the
# provider's own resource. It is the same text as on AWS, without AWS's agent.

locals {
  templates = "${path.module}/../../templates"

  edge_toml = templatefile("${local.templates}/edge.toml.tftpl", {
    addresses     = var.public_addresses
    home_identity = var.home_identity
    mail_ports    = [25, 443, 465, 587, 993, 995]
    tunnel_port   = 51820
  })
}

output "user_data" {
  description = "For the provider's field \"user data\" or \"cloud-config\"."
  value = templatefile("${local.templates}/cloud-config.yaml.tftpl", {
    edge_toml      = local.edge_toml
    package_url    = var.package_url
    package_sha256 = var.package_sha256
    ssm_agent      = ""
  })
}
