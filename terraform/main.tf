# The machine, its address, and what the world may send to it.

provider "aws" {
  default_tags {
    tags = { Name = var.name }
  }
}

# Debian 12 by the Debian project's own account.
data "aws_ami" "debian" {
  owners      = ["136693071363"]
  most_recent = true

  filter {
    name   = "name"
    values = ["debian-12-arm64-*"]
  }
}

resource "aws_key_pair" "admin" {
  key_name_prefix = "${var.name}-"
  public_key      = var.ssh_public_key
}

resource "aws_security_group" "edge" {
  name_prefix = "${var.name}-"
  description = "Mail, DNS and the tunnel"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "mail" {
  for_each = toset([for port in var.mail_ports : tostring(port)])

  security_group_id = aws_security_group.edge.id
  description       = "Mail, forwarded to home"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "dns" {
  for_each = toset(["tcp", "udp"])

  security_group_id = aws_security_group.edge.id
  description       = "The name server of home's domains"
  ip_protocol       = each.value
  from_port         = 53
  to_port           = 53
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "tunnel" {
  security_group_id = aws_security_group.edge.id
  description       = "The tunnel; home may have any address"
  ip_protocol       = "udp"
  from_port         = var.tunnel_port
  to_port           = var.tunnel_port
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.ssh_from)

  security_group_id = aws_security_group.edge.id
  description       = "Administration"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.edge.id
  description       = "Home's outbound mail, the tunnel's answers, updates"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Allocated before the machine, so that the machine's configuration can name it.
resource "aws_eip" "edge" {
  domain = "vpc"
}

locals {
  edge_toml = templatefile("${path.module}/edge.toml.tftpl", {
    address       = aws_eip.edge.public_ip
    home_identity = var.home_identity
    mail_ports    = var.mail_ports
    tunnel_port   = var.tunnel_port
  })

  cloud_config = {
    write_files = [{
      path        = "/etc/postern/edge.toml"
      permissions = "0644"
      content     = local.edge_toml
    }]
  }
}

resource "aws_instance" "edge" {
  ami                    = data.aws_ami.debian.id
  instance_type          = var.instance_type
  key_name               = aws_key_pair.admin.key_name
  vpc_security_group_ids = [aws_security_group.edge.id]

  user_data                   = "#cloud-config\n${yamlencode(local.cloud_config)}"
  user_data_replace_on_change = false

  # The edge forwards packets that are not its own.
  source_dest_check = false

  root_block_device {
    encrypted   = true
    volume_size = 8
    volume_type = "gp3"
  }

  # Only version 2 of the metadata service, and nothing behind the machine may use it.
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # A newer image or another first configuration is no reason to destroy a working edge.
  lifecycle {
    ignore_changes = [ami, user_data]
  }
}

resource "aws_eip_association" "edge" {
  allocation_id = aws_eip.edge.id
  instance_id   = aws_instance.edge.id
}
