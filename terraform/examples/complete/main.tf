# An edge on AWS with everything that the module can do. The first apply makes the machine; set `mail_host`, `registered_domain` and
# `ds_key` for a second one, when the domain exists and home shows its DNSSEC key.

provider "aws" {
  region = var.region
}

module "edge" {
  source = "../.."

  name           = "postern-edge"
  package_url    = var.package_url
  package_sha256 = var.package_sha256
  home_identity  = var.home_identity

  mail_host         = var.mail_host
  registered_domain = var.registered_domain
  ds_key            = var.ds_key

  alarm_actions = var.alarm_actions
  tags          = { Service = "mail" }
}
