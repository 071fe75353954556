# What a plan and an apply make of the variables. Nothing is asked of AWS: its provider is a stand-in with the same schema.

mock_provider "aws" {
  mock_resource "aws_eip" {
    defaults = {
      public_ip     = "192.0.2.10"
      allocation_id = "eipalloc-1"
    }
  }

  mock_resource "aws_instance" {
    defaults = {
      id             = "i-1"
      ipv6_addresses = ["2001:db8:91::10"]
    }
  }

  mock_resource "aws_vpc" {
    defaults = {
      id              = "vpc-1"
      ipv6_cidr_block = "2001:db8:91::/56"
    }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }

  mock_data "aws_ami" {
    defaults = { id = "ami-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  package_url    = "https://packages.example.net/postern-edge_0.1.0_arm64.deb"
  package_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
}

run "the_machine_is_small_and_shut" {
  assert {
    condition     = aws_instance.edge.instance_type == "t4g.nano" && aws_instance.edge.credit_specification[0].cpu_credits == "standard"
    error_message = "not the smallest machine, or one that may cost more"
  }

  assert {
    condition     = aws_instance.edge.metadata_options[0].http_tokens == "required" && aws_instance.edge.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "the metadata service is open"
  }

  assert {
    condition     = aws_instance.edge.root_block_device[0].encrypted && aws_instance.edge.root_block_device[0].volume_type == "gp3"
    error_message = "the disk is not encrypted"
  }

  assert {
    condition     = aws_instance.edge.source_dest_check == false
    error_message = "forwarded packets would be dropped"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.ipv4 : "${rule.ip_protocol}/${rule.from_port}"]) == toset(["tcp/25", "tcp/53", "tcp/443", "tcp/465", "tcp/587", "tcp/993", "tcp/995", "udp/53", "udp/51820"])
    error_message = "other ports are open than mail, DNS and the tunnel"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.ipv4)) == toset(keys(aws_vpc_security_group_ingress_rule.ipv6))
    error_message = "IPv6 is not as IPv4"
  }
}

run "user_data_installs_the_package_and_holds_no_secret" {
  assert {
    condition     = strcontains(aws_instance.edge.user_data, "echo '${var.package_sha256}  postern-edge.deb' | sha256sum --check")
    error_message = "the package is not checked"
  }

  assert {
    condition     = strcontains(base64decode(regex("content: ([A-Za-z0-9+/=]+)\n", aws_instance.edge.user_data)[0]), "public_addresses = [\"192.0.2.10\"]")
    error_message = "edge.toml does not have the outer address"
  }
}

run "outputs_are_ready_to_paste" {
  assert {
    condition     = output.delegation == "ns1.DOMAIN  192.0.2.10  2001:db8:91::10\nns2.DOMAIN  192.0.2.10  2001:db8:91::10"
    error_message = output.delegation
  }

  assert {
    condition     = output.join_command == "postern-home join" && strcontains(output.join_code_command, "postern-edge invite")
    error_message = "the edge cannot be joined"
  }

  assert {
    condition     = strcontains(output.aws_request, "192.0.2.10")
    error_message = "the request does not name the address"
  }
}

run "a_home_that_is_named_joins_without_a_code" {
  variables {
    home_identity = "iD3fF6Zk0y1oQxvQm6p2cW8u5t7Jb4nLr9sHg0aXeTM="
  }

  assert {
    condition     = output.join_command == "postern-home join --edge 192.0.2.10:51820"
    error_message = output.join_command
  }

  assert {
    condition     = strcontains(local.edge_toml, "home = \"${var.home_identity}\"")
    error_message = "edge.toml does not name the home"
  }
}

run "names_come_in_a_second_step" {
  variables {
    mail_host         = "mail.home.example"
    registered_domain = "home.example"
    ds_key            = { algorithm = 13, public_key = "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==" }
  }

  assert {
    condition     = aws_eip_domain_name.mail_host[0].domain_name == "mail.home.example"
    error_message = "no PTR record"
  }

  assert {
    condition     = [for server in aws_route53domains_registered_domain.home[0].name_server : server.name] == ["ns1.home.example", "ns2.home.example"]
    error_message = "the registrar has other name servers"
  }

  assert {
    condition     = alltrue([for server in aws_route53domains_registered_domain.home[0].name_server : server.glue_ips == toset(["192.0.2.10", "2001:db8:91::10"])])
    error_message = "the glue is another"
  }

  assert {
    condition     = aws_route53domains_delegation_signer_record.home[0].signing_attributes[0].flags == 257
    error_message = "no DS record"
  }
}

run "an_amd_machine_is_refused" {
  command = plan

  variables {
    instance_type = "t3.nano"
  }

  expect_failures = [var.instance_type]
}

run "a_package_without_tls_or_hash_is_refused" {
  command = plan

  variables {
    package_url    = "http://packages.example.net/edge.deb"
    package_sha256 = "abc"
  }

  expect_failures = [var.package_url, var.package_sha256]
}

run "a_command_in_the_address_is_refused" {
  command = plan

  variables {
    package_url = "https://packages.example.net/'; rm -rf / #"
  }

  expect_failures = [var.package_url]
}

run "a_ds_record_needs_its_domain" {
  command = plan

  variables {
    ds_key = { algorithm = 13, public_key = "AAAA" }
  }

  expect_failures = [var.ds_key]
}
