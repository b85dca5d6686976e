package constraints

import (
	"github.com/gogo/protobuf/proto"
)

// Carrier is a scheduler call as far as offer constraints are concerned; all else
// in it is the vocabulary's.
type Carrier struct {
	Subscribe       *CarrierPart `protobuf:"bytes,3,opt,name=subscribe" json:"subscribe,omitempty"`
	UpdateFramework *CarrierPart `protobuf:"bytes,19,opt,name=update_framework" json:"update_framework,omitempty"`
}

func (m *Carrier) Reset()         { *m = Carrier{} }
func (m *Carrier) String() string { return proto.CompactTextString(m) }
func (*Carrier) ProtoMessage()    {}

// Get returns the constraints of the call, nil when it carries none.
func (m *Carrier) Get() *OfferConstraints {
	for _, part := range []*CarrierPart{m.Subscribe, m.UpdateFramework} {
		if part != nil && part.OfferConstraints != nil {
			return part.OfferConstraints
		}
	}
	return nil
}

// CarrierPart is the part of a call that has the constraints.
type CarrierPart struct {
	OfferConstraints *OfferConstraints `protobuf:"bytes,3,opt,name=offer_constraints" json:"offer_constraints,omitempty"`
}

func (m *CarrierPart) Reset()         { *m = CarrierPart{} }
func (m *CarrierPart) String() string { return proto.CompactTextString(m) }
func (*CarrierPart) ProtoMessage()    {}

// OfferConstraints says per role which agents are wanted; a role that is not there takes any.
type OfferConstraints struct {
	RoleConstraints map[string]RoleConstraints `protobuf:"bytes,1,rep,name=role_constraints" json:"role_constraints,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
}

func (m *OfferConstraints) Reset()         { *m = OfferConstraints{} }
func (m *OfferConstraints) String() string { return proto.CompactTextString(m) }
func (*OfferConstraints) ProtoMessage()    {}

// RoleConstraints is fulfilled by an agent that fulfils one of the groups.
type RoleConstraints struct {
	Groups []Group `protobuf:"bytes,1,rep,name=groups" json:"groups,omitempty"`
}

func (m *RoleConstraints) Reset()         { *m = RoleConstraints{} }
func (m *RoleConstraints) String() string { return proto.CompactTextString(m) }
func (*RoleConstraints) ProtoMessage()    {}

// Group is fulfilled by an agent that fulfils all of its constraints.
type Group struct {
	AttributeConstraints []AttributeConstraint `protobuf:"bytes,1,rep,name=attribute_constraints" json:"attribute_constraints,omitempty"`
}

func (m *Group) Reset()         { *m = Group{} }
func (m *Group) String() string { return proto.CompactTextString(m) }
func (*Group) ProtoMessage()    {}

// AttributeConstraint holds a property of an agent against a predicate.
type AttributeConstraint struct {
	Selector  Selector  `protobuf:"bytes,1,req,name=selector" json:"selector"`
	Predicate Predicate `protobuf:"bytes,2,req,name=predicate" json:"predicate"`
}

func (m *AttributeConstraint) Reset()         { *m = AttributeConstraint{} }
func (m *AttributeConstraint) String() string { return proto.CompactTextString(m) }
func (*AttributeConstraint) ProtoMessage()    {}

// Selector names an attribute, or a property that is none; one of the two is set.
type Selector struct {
	PseudoattributeType *PseudoattributeType `protobuf:"varint,1,opt,name=pseudoattribute_type,enum=mesos.v1.scheduler.AttributeConstraint.Selector.PseudoattributeType" json:"pseudoattribute_type,omitempty"`
	AttributeName       *string              `protobuf:"bytes,2,opt,name=attribute_name" json:"attribute_name,omitempty"`
}

func (m *Selector) Reset()         { *m = Selector{} }
func (m *Selector) String() string { return proto.CompactTextString(m) }
func (*Selector) ProtoMessage()    {}

// PseudoattributeType is a property of an agent that is no attribute.
type PseudoattributeType int32

// The properties a Selector can name.
const (
	Unknown  PseudoattributeType = 0
	Hostname PseudoattributeType = 1
	Region   PseudoattributeType = 2
	Zone     PseudoattributeType = 3
)

var (
	typeNames  = map[int32]string{0: "UNKNOWN", 1: "HOSTNAME", 2: "REGION", 3: "ZONE"}
	typeValues = map[string]int32{"UNKNOWN": 0, "HOSTNAME": 1, "REGION": 2, "ZONE": 3}
)

func (t PseudoattributeType) String() string { return proto.EnumName(typeNames, int32(t)) }

func init() {
	proto.RegisterEnum("mesos.v1.scheduler.AttributeConstraint.Selector.PseudoattributeType", typeNames, typeValues)
}

// Predicate is what is asked of the selected property; one of the fields is set.
type Predicate struct {
	Exists         *Empty `protobuf:"bytes,1,opt,name=exists" json:"exists,omitempty"`
	NotExists      *Empty `protobuf:"bytes,2,opt,name=not_exists" json:"not_exists,omitempty"`
	TextEquals     *Value `protobuf:"bytes,3,opt,name=text_equals" json:"text_equals,omitempty"`
	TextNotEquals  *Value `protobuf:"bytes,4,opt,name=text_not_equals" json:"text_not_equals,omitempty"`
	TextMatches    *Regex `protobuf:"bytes,5,opt,name=text_matches" json:"text_matches,omitempty"`
	TextNotMatches *Regex `protobuf:"bytes,6,opt,name=text_not_matches" json:"text_not_matches,omitempty"`
}

func (m *Predicate) Reset()         { *m = Predicate{} }
func (m *Predicate) String() string { return proto.CompactTextString(m) }
func (*Predicate) ProtoMessage()    {}

// Empty has nothing to add to its presence.
type Empty struct{}

func (m *Empty) Reset()         { *m = Empty{} }
func (m *Empty) String() string { return proto.CompactTextString(m) }
func (*Empty) ProtoMessage()    {}

// Value is a text to compare with.
type Value struct {
	Value string `protobuf:"bytes,1,req,name=value" json:"value"`
}

func (m *Value) Reset()         { *m = Value{} }
func (m *Value) String() string { return proto.CompactTextString(m) }
func (*Value) ProtoMessage()    {}

// Regex is a pattern in RE2's syntax, which has to match the whole text.
type Regex struct {
	Regex string `protobuf:"bytes,1,req,name=regex" json:"regex"`
}

func (m *Regex) Reset()         { *m = Regex{} }
func (m *Regex) String() string { return proto.CompactTextString(m) }
func (*Regex) ProtoMessage()    {}
