# The machine of a Postern edge: its network, its address, what the world may send to it.

data "aws_region" "current" {}

# Debian 12 by the Debian project's own account.
data "aws_ami" "debian" {
  owners      = ["136693071363"]
  most_recent = true

  filter {
    name   = "name"
    values = ["debian-12-arm64-*"]
  }

  filter {
    name   = "architecture"
    values = ["arm64"]
  }
}

locals {
  tags = merge({ Name = var.name }, var.tags)
}

################################################################################
# Network
################################################################################

# Its own, with IPv6: an account's default VPC has none.
resource "aws_vpc" "edge" {
  cidr_block                       = var.vpc_cidr
  assign_generated_ipv6_cidr_block = true
  tags                             = local.tags
}

resource "aws_subnet" "edge" {
  vpc_id                          = aws_vpc.edge.id
  cidr_block                      = var.vpc_cidr
  ipv6_cidr_block                 = cidrsubnet(aws_vpc.edge.ipv6_cidr_block, 8, 0)
  assign_ipv6_address_on_creation = true
  tags                            = local.tags
}

resource "aws_internet_gateway" "edge" {
  vpc_id = aws_vpc.edge.id
  tags   = local.tags
}

resource "aws_route_table" "edge" {
  vpc_id = aws_vpc.edge.id
  tags   = local.tags
}

resource "aws_route" "ipv4" {
  route_table_id         = aws_route_table.edge.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.edge.id
}

resource "aws_route" "ipv6" {
  route_table_id              = aws_route_table.edge.id
  destination_ipv6_cidr_block = "::/0"
  gateway_id                  = aws_internet_gateway.edge.id
}

resource "aws_route_table_association" "edge" {
  route_table_id = aws_route_table.edge.id
  subnet_id      = aws_subnet.edge.id
}

################################################################################
# What the world may send to it
################################################################################

resource "aws_security_group" "edge" {
  name_prefix = "${var.name}-"
  description = "Mail, DNS and the tunnel"
  vpc_id      = aws_vpc.edge.id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # No SSH: administration is by Systems Manager's Session Manager, which needs no open port.
  ingress = merge(
    { for port in var.mail_ports : "mail-${port}" => { protocol = "tcp", port = port, description = "Mail, forwarded to home" } },
    { for protocol in ["tcp", "udp"] : "dns-${protocol}" => { protocol = protocol, port = 53, description = "The name server of home's domains" } },
    { tunnel = { protocol = "udp", port = var.tunnel_port, description = "The tunnel; home may have any address" } },
  )
}

resource "aws_vpc_security_group_ingress_rule" "ipv4" {
  for_each = local.ingress

  security_group_id = aws_security_group.edge.id
  description       = each.value.description
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "ipv6" {
  for_each = local.ingress

  security_group_id = aws_security_group.edge.id
  description       = each.value.description
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv6         = "::/0"
  tags              = local.tags
}

# Path MTU discovery and echoes.
resource "aws_vpc_security_group_ingress_rule" "icmp" {
  for_each = { icmp = "0.0.0.0/0", icmpv6 = "::/0" }

  security_group_id = aws_security_group.edge.id
  description       = "Path MTU discovery and echoes"
  ip_protocol       = each.key
  from_port         = -1
  to_port           = -1
  cidr_ipv4         = each.key == "icmp" ? each.value : null
  cidr_ipv6         = each.key == "icmpv6" ? each.value : null
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.edge.id
  description       = "Home's outgoing mail, the tunnel's answers, updates"
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  tags              = local.tags
}

################################################################################
# Administration without an open port
################################################################################

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "edge" {
  name_prefix        = "${var.name}-"
  description        = "Lets Systems Manager open a session on the edge"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  role       = aws_iam_role.edge.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "edge" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.edge.name
  tags        = local.tags
}

################################################################################
# The machine and its address
################################################################################

# Allocated before the machine, so that the machine's configuration can name it.
resource "aws_eip" "edge" {
  domain = "vpc"
  tags   = local.tags
}

locals {
  edge_toml = templatefile("${path.module}/templates/edge.toml.tftpl", {
    addresses     = [aws_eip.edge.public_ip]
    home_identity = var.home_identity
    mail_ports    = var.mail_ports
    tunnel_port   = var.tunnel_port
  })

  cloud_config = templatefile("${path.module}/templates/cloud-config.yaml.tftpl", {
    edge_toml      = local.edge_toml
    package_url    = var.package_url
    package_sha256 = var.package_sha256
    # Debian's images have no agent of Systems Manager; AWS publishes it by region.
    ssm_agent = "https://s3.${data.aws_region.current.region}.amazonaws.com/amazon-ssm-${data.aws_region.current.region}/latest/debian_arm64/amazon-ssm-agent.deb"
  })
}

resource "aws_instance" "edge" {
  ami                    = data.aws_ami.debian.id
  instance_type          = var.instance_type
  subnet_id              = aws_subnet.edge.id
  vpc_security_group_ids = [aws_security_group.edge.id]
  ipv6_address_count     = 1
  iam_instance_profile   = aws_iam_instance_profile.edge.name

  # No secret is in it: the join code is made on the machine, and whoever may join is named by a public key.
  user_data                   = local.cloud_config
  user_data_replace_on_change = false

  # The edge forwards packets that are not its own.
  source_dest_check = false

  root_block_device {
    encrypted   = true
    volume_size = var.volume_size
    volume_type = "gp3"
    tags        = local.tags
  }

  # Only version 2 of the metadata service, and nothing behind the machine may use it.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Never a bill for bursts: what is over the credits is slow.
  dynamic "credit_specification" {
    for_each = startswith(var.instance_type, "t") ? [1] : []

    content {
      cpu_credits = "standard"
    }
  }

  tags = local.tags

  # A newer image or another first configuration is no reason to destroy a working edge.
  lifecycle {
    ignore_changes = [ami, user_data]
  }
}

resource "aws_eip_association" "edge" {
  allocation_id = aws_eip.edge.id
  instance_id   = aws_instance.edge.id
}

# A machine whose hardware fails starts anew on another, with its address and its disk.
resource "aws_cloudwatch_metric_alarm" "recovery" {
  alarm_name          = "${var.name}-recovery"
  alarm_description   = "The hardware under the edge fails; AWS moves it"
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed_System"
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 2
  alarm_actions       = concat(["arn:aws:automate:${data.aws_region.current.region}:ec2:recover"], var.alarm_actions)
  dimensions          = { InstanceId = aws_instance.edge.id }
  tags                = local.tags
}

################################################################################
# Names: second steps
################################################################################

# AWS sets a PTR record only when the name leads to the address already.
resource "aws_eip_domain_name" "mail_host" {
  count = var.mail_host == "" ? 0 : 1

  allocation_id = aws_eip.edge.allocation_id
  domain_name   = var.mail_host
}

resource "aws_route53domains_registered_domain" "home" {
  count = var.registered_domain == "" ? 0 : 1

  domain_name = var.registered_domain

  dynamic "name_server" {
    for_each = ["ns1", "ns2"]

    content {
      name     = "${name_server.value}.${var.registered_domain}"
      glue_ips = concat([aws_eip.edge.public_ip], aws_instance.edge.ipv6_addresses)
    }
  }

  tags = local.tags
}

resource "aws_route53domains_delegation_signer_record" "home" {
  count = var.ds_key == null ? 0 : 1

  domain_name = aws_route53domains_registered_domain.home[0].domain_name

  signing_attributes {
    algorithm  = var.ds_key.algorithm
    flags      = var.ds_key.flags
    public_key = var.ds_key.public_key
  }
}
